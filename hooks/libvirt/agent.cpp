#include "hooks/libvirt/agent.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/readiness.h"
#include "hooks/libvirt/leftovers.h"
#include "hooks/libvirt/monitor.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tapline::libvirt {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds reconnect_pause_max = 5s;
// A guest decides how often it changes its filter, we how often we look.
constexpr auto pause_before_look = 20ms;
constexpr std::chrono::milliseconds look_again_pause = 3s;

// Nobody is there to answer to: what one guest's card is refused shall not end the service of the
// others.
template <typename Do> void log_refusal(Do act) {
    try {
        act();
    } catch (const Error& error) {
        log(LogLevel::warning, "{}", error.what());
    }
}

template <typename Do> void log_refusal(LogLimit& limit, Do act) {
    try {
        act();
    } catch (const Error& error) {
        if (limit.allows()) {
            log(LogLevel::warning, "{}", error.what());
        }
    }
}

} // namespace

Agent::Agent(MainLoop& loop, Options options) : loop_(loop), options_(std::move(options)) {
    link_source_ = loop_.on_readable(links_.fd(), [this] {
        links_.drain();
        look_for_new_devices();
    });
    look_again_source_ = loop_.every(look_again_pause, [this] { look_again(); });
    connect();
    tell_ready();
}

void Agent::connect() {
    connect_source_.reset();
    try {
        session_ = std::make_unique<Session>(Connection::open(options_.uri), [this] { wake(); });
        for (const Domain& domain : session_->connection.running()) {
            domains_.insert(domain.uuid());
        }
    } catch (const Error& error) {
        session_.reset();
        if (error.code() == ENOTSUP) {
            throw;
        }
        if (!std::exchange(told_, true)) { // Once for each loss, however often it fails.
            log(LogLevel::warning, "{}; trying again until it works", error.what());
        }
        connect_later();
        return;
    }
    log(LogLevel::info, "connected to libvirt, {} guests run", domains_.size());
    pause_ = reconnect_pause_min;
    told_ = false;
    look_for_leftovers_ = true;
    wake();
}

void Agent::connect_later() {
    connect_source_ = loop_.every(pause_, [this] { connect(); });
    pause_ = std::min(pause_ * 2, reconnect_pause_max);
}

void Agent::wake() noexcept {
    if (!waiting_) {
        waiting_ = true;
        work_source_ = loop_.every(pause_before_look, [this] { work(); });
    }
}

void Agent::work() {
    work_source_.reset();
    waiting_ = false;
    if (!session_) {
        return;
    }
    Events::News news = session_->events.take();
    domains_.merge(news.domains);
    if (news.lost) {
        log(LogLevel::warning, "libvirt has closed the connection");
        session_.reset();
        connect_later();
        return;
    }
    for (const std::string& uuid : std::exchange(domains_, {})) {
        log_refusal([&] { look_at(uuid); });
    }
    if (std::exchange(look_for_leftovers_, false)) {
        log_refusal([&] { remove_leftovers(session_->connection); });
    }
}

// The hook makes devices anew that were deleted under a guest, and libvirt tells of no change.
void Agent::look_for_new_devices() {
    std::map<std::string, int> now;
    log_refusal([&] {
        for (const MacvtapDevice& device : list_macvtaps(netlink_)) {
            now.emplace(device.name, device.index);
        }
        for (const auto& [uuid, guest] : guests_) {
            for (const auto& [name, device] : guest.devices) {
                const auto found = now.find(name);
                if (found != now.end() && found->second != device.index) {
                    domains_.insert(uuid);
                    wake();
                }
            }
        }
    });
}

void Agent::look_again() {
    tell_alive();
    if (!silent_.empty()) {
        domains_.insert(silent_.begin(), silent_.end());
        wake();
    }
}

void Agent::look_at(const std::string& uuid) {
    const auto domain = session_->connection.find_by_uuid(uuid);
    if (!domain || !domain->is_active()) {
        silent_.erase(uuid);
        guests_.erase(uuid);
        look_for_leftovers_ = true;
        return;
    }
    Guest& guest = guests_[uuid];
    if (!domain->answers()) { // To ask it now is to wait for as long as that takes.
        if (silent_.insert(uuid).second && guest.silences.allows()) {
            log(LogLevel::warning,
                "QEMU of domain '{}' does not answer: looking again until it does", domain->name());
        }
        return;
    }
    silent_.erase(uuid);
    log_refusal(guest.failures, [&] { look_at_running(*domain, guest); });
}

void Agent::look_at_running(const Domain& domain, Guest& guest) {
    for (const Card& card : running_cards(domain, options_.direct)) {
        if (!card.libvirt_follows && !card.id.empty() && !card.device.empty()) {
            Device& device = guest.devices[card.device];
            log_refusal(device.failures, [&] { sync(domain, card, device); });
        }
    }
}

void Agent::sync(const Domain& domain, const Card& card, Device& seen) {
    // Also where nothing may follow: QEMU tells of the next change only once it was asked.
    const RxFilter guest =
        card.tells_filter
            ? parse_rx_filter(ask_qemu(domain, "query-rx-filter", {{"name", card.id}}))
            : RxFilter{.mac = std::nullopt, .wants_all_groups = true, .groups = {}};
    const MacvtapDevice device = find_macvtap(netlink_, card.device);
    const auto filter = read_device_filter(netlink_, device);
    if (!filter) {
        return; // It went just now; so does the guest, or a new one comes.
    }
    seen.index = device.index;
    if (guest.mac == filter->mac) {
        seen.refused_told = false;
    } else if (!card.policy.trusts_mac && guest.mac && !seen.refused_told &&
               seen.refusals.allows()) {
        seen.refused_told = true;
        log(LogLevel::warning,
            "guest '{}' uses MAC address {}, and '{}' keeps {}: nothing will reach it "
            "(to allow that, trust the guest: trustGuestRxFilters)",
            domain.name(), guest.mac->text(), card.device, filter->mac.text());
    }
    const FilterChange change = plan_change(guest, card.policy, *filter);
    if (change.empty()) {
        return;
    }
    change_device_filter(netlink_, device, change);
    if (seen.changes.allows()) {
        log(LogLevel::info, "'{}' follows guest '{}': {}", card.device, domain.name(),
            to_text(change));
    }
}

} // namespace tapline::libvirt
