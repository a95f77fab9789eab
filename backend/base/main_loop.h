// A program's main thread: GLib's default main context, with callbacks that may throw.
#pragma once

#include <glib.h>

#include <chrono>
#include <functional>
#include <memory>

namespace tapline {

class MainLoop {
public:
    using Callback = std::function<void()>;

    // A callback that is removed with its owner; it may remove itself.
    class Source {
    public:
        Source() = default;
        void reset() { handle_.reset(); }
        explicit operator bool() const { return handle_ != nullptr; }

    private:
        friend class MainLoop;
        struct Destroy {
            void operator()(GSource* source) const;
        };
        std::unique_ptr<GSource, Destroy> handle_;
    };

    MainLoop();

    // Each time fd is readable or its peer has gone. fd is borrowed for the source's life.
    [[nodiscard]] Source on_readable(int fd, Callback callback);
    [[nodiscard]] Source on_signal(int signal, Callback callback);
    // Once each time so long has passed.
    [[nodiscard]] Source every(std::chrono::milliseconds pause, Callback callback);

    // Until quit(). What a callback throws ends the loop and comes out here.
    void run();
    void quit() { g_main_loop_quit(loop_.get()); }

private:
    struct Watch {
        MainLoop* loop;
        Callback callback;
    };

    Source attach(GSource* source, GSourceFunc function, Callback callback);
    void call(const Callback& callback) noexcept;
    static gboolean on_fd_event(gint fd, GIOCondition condition, gpointer watch);
    static gboolean on_event(gpointer watch);

    std::unique_ptr<GMainLoop, decltype(&g_main_loop_unref)> loop_;
    std::exception_ptr failure_;
};

} // namespace tapline
