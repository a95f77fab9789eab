#include "hooks/lifecycle.h"

#include "backend/base/log.h"
#include "hooks/interface_life.h"
#include "hooks/preflight.h"
#include "hooks/socket_folder.h"

#include <algorithm>
#include <exception>

namespace tapline::hooks {
namespace {

bool has_pump(const InterfacePlan& plan) {
    return plan.socket.has_value();
}

bool is_recorded(const DomainRecord& record, const InterfacePlan& plan) {
    return std::ranges::find(record.interfaces(), plan.description, &MadeInterface::description) !=
           record.interfaces().end();
}

// What an earlier start of the domain made, and this one has no use for.
void remove_others(Netlink& netlink, DomainRecord& record,
                   const std::vector<InterfacePlan>& plans) {
    std::vector<MadeInterface> others = record.interfaces();
    std::erase_if(others, [&](const MadeInterface& made) {
        return std::ranges::any_of(plans, [&](const InterfacePlan& plan) {
            return plan.description == made.description && has_planned_device(netlink, plan);
        });
    });
    remove_all(netlink, record, others);
}

// Of the one that was deleted under a guest no record shall stay either.
void forget_lost_device(Netlink& netlink, const DomainRecord& record, const InterfacePlan& plan) {
    const auto& known = record.interfaces();
    const auto found = std::ranges::find(known, *plan.spec.name(), &MadeInterface::device);
    if (found != known.end() && !has_device(netlink, found->device)) {
        take_down(netlink, *found);
    }
}

void make(Netlink& netlink, DomainRecord& record, const InterfacePlan& plan) {
    forget_lost_device(netlink, record, plan);
    record.put(MadeInterface::of(plan));
    record.put(make_interface(netlink, plan));
}

} // namespace

void remove_all(Netlink& netlink, DomainRecord& record, std::vector<MadeInterface> interfaces) {
    std::exception_ptr failure;
    for (const MadeInterface& made : interfaces) {
        try {
            remove_interface(netlink, made);
            record.drop(made.device);
        } catch (const std::exception&) {
            failure = failure ? failure : std::current_exception();
        }
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

void prepare(const xml::Domain& domain) {
    const std::vector<InterfacePlan> plans = plans_of(domain);
    Netlink netlink = Netlink::open();
    std::vector<InterfaceSpec> devices = direct_devices_of(netlink, domain);
    if (plans.empty()) { // Nothing that would need a record.
        check_devices(netlink, devices);
        return;
    }
    DomainRecord record = DomainRecord::open(domain.uuid);
    try {
        remove_others(netlink, record, plans);
        for (const InterfacePlan& plan : plans) {
            if (!is_recorded(record, plan)) {
                devices.push_back(plan.spec);
            }
        }
        check_devices(netlink, devices);
        if (std::ranges::any_of(plans, has_pump)) {
            make_socket_folder();
        }
        for (const InterfacePlan& plan : plans) {
            make(netlink, record, plan);
        }
    } catch (...) {
        try {
            remove_all(netlink, record, record.interfaces());
        } catch (const std::exception& error) { // The first refusal is the one that matters.
            log(LogLevel::warning, "{}", error.what());
        }
        throw;
    }
}

void reconnect(const xml::Domain& domain) {
    const std::vector<InterfacePlan> plans = plans_of(domain);
    if (plans.empty()) {
        return;
    }
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(domain.uuid);
    for (const InterfacePlan& plan : plans) {
        try {
            make(netlink, record, plan);
        } catch (const std::exception& error) {
            log(LogLevel::warning, "{}", error.what());
        }
    }
}

void release(const std::string& uuid) {
    if (!DomainRecord::exists(uuid)) {
        return;
    }
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    remove_all(netlink, record, record.interfaces());
}

} // namespace tapline::hooks
