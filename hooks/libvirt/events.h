// What happens to the domains of a connection, collected until somebody takes it.
#pragma once

#include "hooks/libvirt/connection.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace tapline::libvirt {

// Lets libvirt tell its events in GLib's main loop. Before any connection is opened.
void use_main_loop();

class Events {
public:
    // wake is called at each event, from within libvirt: it may neither throw nor call libvirt.
    // Throws Error.
    Events(const Connection& connection, std::function<void()> wake);
    ~Events();
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;

    struct News {
        std::set<std::string> domains; // UUIDs of those that began, ended or changed in a way.
        bool lost = false;             // The connection; nothing more will come.
    };
    News take();

private:
    static int on_life(virConnectPtr, virDomainPtr domain, int, int, void* self);
    static void on_device(virConnectPtr, virDomainPtr domain, const char*, void* self);
    static void on_qemu(virConnectPtr, virDomainPtr domain, const char*, long long, unsigned,
                        const char*, void* self);
    static void on_close(virConnectPtr, int, void* self);
    void listen();
    void stop_listening();
    void note(virDomainPtr domain);

    const Connection& connection_;
    std::function<void()> wake_;
    News news_;
    std::vector<int> callbacks_;
    int qemu_callback_ = -1;
};

} // namespace tapline::libvirt
