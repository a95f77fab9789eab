#include "hooks/libvirt/events.h"

#include <libvirt-glib/libvirt-glib-event.h>
#include <libvirt/libvirt-qemu.h>

#include <array>
#include <utility>

namespace tapline::libvirt {
namespace {

// How soon a libvirtd that hangs, or is gone without a word, counts as lost.
constexpr int keepalive_interval_s = 5;
constexpr unsigned keepalive_count = 3;

} // namespace

void use_main_loop() {
    gvir_event_register();
}

Events::Events(const Connection& connection, std::function<void()> wake)
    : connection_(connection), wake_(std::move(wake)) {
    try {
        listen();
    } catch (...) {
        stop_listening();
        throw;
    }
}

Events::~Events() {
    stop_listening();
}

void Events::listen() {
    constexpr auto operation = "listen to libvirt's events";
    if (virConnectRegisterCloseCallback(connection_.get(), on_close, this, nullptr) < 0 ||
        virConnectSetKeepAlive(connection_.get(), keepalive_interval_s, keepalive_count) < 0) {
        refuse(operation);
    }
    const std::array<std::pair<int, virConnectDomainEventGenericCallback>, 2> wanted{{
        {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_life)},
        {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device)},
    }};
    for (const auto& [event, callback] : wanted) {
        const int id = virConnectDomainEventRegisterAny(connection_.get(), nullptr, event, callback,
                                                        this, nullptr);
        if (id < 0) {
            refuse(operation);
        }
        callbacks_.push_back(id);
    }
    qemu_callback_ = virConnectDomainQemuMonitorEventRegister(
        connection_.get(), nullptr, "NIC_RX_FILTER_CHANGED", on_qemu, this, nullptr, 0);
    if (qemu_callback_ < 0) {
        refuse(operation);
    }
}

// Of a connection that is lost each fails, which is as good.
void Events::stop_listening() {
    if (qemu_callback_ >= 0) {
        (void)virConnectDomainQemuMonitorEventDeregister(connection_.get(), qemu_callback_);
    }
    for (const int id : callbacks_) {
        (void)virConnectDomainEventDeregisterAny(connection_.get(), id);
    }
    (void)virConnectUnregisterCloseCallback(connection_.get(), on_close);
}

Events::News Events::take() {
    return std::exchange(news_, News{.domains = {}, .lost = news_.lost});
}

void Events::note(virDomainPtr domain) {
    std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
    if (virDomainGetUUIDString(domain, uuid.data()) == 0) {
        news_.domains.emplace(uuid.data());
        wake_();
    }
}

int Events::on_life(virConnectPtr, virDomainPtr domain, int, int, void* self) {
    static_cast<Events*>(self)->note(domain);
    return 0;
}

void Events::on_device(virConnectPtr, virDomainPtr domain, const char*, void* self) {
    static_cast<Events*>(self)->note(domain);
}

// Which card it was does not matter: all of a guest's are looked at, they are few.
void Events::on_qemu(virConnectPtr, virDomainPtr domain, const char*, long long, unsigned,
                     const char*, void* self) {
    static_cast<Events*>(self)->note(domain);
}

void Events::on_close(virConnectPtr, int, void* self) {
    auto* events = static_cast<Events*>(self);
    events->news_.lost = true;
    events->wake_();
}

} // namespace tapline::libvirt
