#include "backend/base/main_loop.h"

#include <glib-unix.h>

#include <exception>
#include <utility>

namespace tapline {

MainLoop::MainLoop() : loop_(g_main_loop_new(nullptr, FALSE), g_main_loop_unref) {}

void MainLoop::Source::Destroy::operator()(GSource* source) const {
    g_source_destroy(source);
    g_source_unref(source);
}

MainLoop::Source MainLoop::on_readable(int fd, Callback callback) {
    GSource* source =
        g_unix_fd_source_new(fd, static_cast<GIOCondition>(G_IO_IN | G_IO_HUP | G_IO_ERR));
    return attach(source, G_SOURCE_FUNC(on_fd_event), std::move(callback));
}

MainLoop::Source MainLoop::on_signal(int signal, Callback callback) {
    return attach(g_unix_signal_source_new(signal), on_event, std::move(callback));
}

MainLoop::Source MainLoop::every(std::chrono::milliseconds pause, Callback callback) {
    return attach(g_timeout_source_new(static_cast<guint>(pause.count())), on_event,
                  std::move(callback));
}

MainLoop::Source MainLoop::attach(GSource* source, GSourceFunc function, Callback callback) {
    // GLib keeps the watch until a running callback returns, even one that removes its source.
    g_source_set_callback(source, function,
                          new Watch{.loop = this, .callback = std::move(callback)},
                          [](gpointer watch) { delete static_cast<Watch*>(watch); });
    g_source_attach(source, nullptr);
    Source owned;
    owned.handle_.reset(source);
    return owned;
}

gboolean MainLoop::on_fd_event(gint, GIOCondition, gpointer watch) {
    return on_event(watch);
}

gboolean MainLoop::on_event(gpointer watch) {
    const auto* called = static_cast<Watch*>(watch);
    called->loop->call(called->callback);
    return G_SOURCE_CONTINUE;
}

void MainLoop::call(const Callback& callback) noexcept {
    try {
        callback();
    } catch (...) { // Not through GLib's C frames.
        failure_ = std::current_exception();
        quit();
    }
}

void MainLoop::run() {
    g_main_loop_run(loop_.get());
    if (failure_) {
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

} // namespace tapline
