// A session that hears a front end through a real socket, one message at a time.
#pragma once

#include "tests/fakes/front_end.h"
#include "tests/fakes/guest_ram.h"
#include "tests/fakes/socket_pair.h"
#include "tests/fakes/split_driver_ring.h"
#include "tests/unit/fault_of.h"
#include "tests/unit/open_fds.h"
#include "vhost/connection.h"
#include "vhost/features.h"
#include "vhost/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tapline::vhost {

class SessionFixture : public testing::Test {
protected:
    static constexpr uint64_t offered =
        bits(Feature::version_1, Feature::mrg_rxbuf, Feature::mq, Feature::access_platform);

    // Does with the next message what a server does.
    std::optional<ProtocolFault> serve() {
        return fault_of([&] {
            std::optional<Message> message = connection_.receive();
            ASSERT_TRUE(message) << "the front end sent nothing";
            const Request request = message->request();
            if (const auto reply = session_.handle(std::move(*message))) {
                connection_.reply(request, *reply);
            }
        });
    }

    template <typename T>
    std::optional<ProtocolFault> tell(Request request, const T& payload,
                                      std::vector<int> fds = {}) {
        front_end_.send(request, payload, std::move(fds));
        return serve();
    }

    std::optional<ProtocolFault> tell(Request request) {
        front_end_.send(request);
        return serve();
    }

    std::optional<ProtocolFault> tell_bytes(uint32_t request, std::span<const std::byte> payload,
                                            std::vector<int> fds = {}) {
        front_end_.send(request, payload, {.fds = std::move(fds)});
        return serve();
    }

    // The answer to a request that has one.
    template <typename T> T ask(Request request) {
        EXPECT_EQ(tell(request), accepted);
        return front_end_.receive_as<T>();
    }

    std::optional<ProtocolFault> share_memory() {
        front_end_.share(ram_);
        return serve();
    }

    std::optional<ProtocolFault> start_ring(uint32_t index) {
        tell(Request::set_vring_num, VringState{.index = index, .num = ring_.size()});
        tell(Request::set_vring_base, VringState{.index = index, .num = 0});
        tell(Request::set_vring_addr, ring_.addresses(index));
        return tell(Request::set_vring_kick, uint64_t{index}, {event_.get()});
    }

    std::optional<ProtocolFault> enable_ring(uint32_t index, uint32_t value) {
        return tell(Request::set_vring_enable, VringState{.index = index, .num = value});
    }

    // All that messages can change, to compare before and after one that is refused.
    struct State {
        uint64_t features;
        bool acknowledges;
        const void* memory;
        std::vector<std::string> rings;
        size_t fds;

        bool operator==(const State&) const = default;
    };
    State state() const {
        State now{.features = session_.features(),
                  .acknowledges = session_.acknowledges(),
                  .memory = session_.memory().get(),
                  .rings = {},
                  .fds = open_fds()};
        for (const Vring& ring : session_.rings()) {
            now.rings.push_back(fmt::format(
                "size {} base {} table {:#x} kick {} call {} error {} started {} enabled {}",
                ring.size, ring.base.value_or(0), ring.addresses ? ring.addresses->descriptors : 0,
                ring.kick.get(), ring.call.get(), ring.error.get(), ring.started, ring.enabled));
        }
        return now;
    }

    // The action is refused for this reason and leaves no trace.
    template <typename Action> void expect_refused(ProtocolFault fault, Action action) {
        const State before = state();
        EXPECT_EQ(action(), fault);
        const State after = state();
        EXPECT_EQ(before.rings, after.rings);
        EXPECT_EQ(before.fds, after.fds) << "descriptors leaked";
        EXPECT_TRUE(before == after) << "a refused message changed the session";
    }

    fakes::SocketPair sockets_{SOCK_STREAM};
    Connection connection_{std::move(sockets_.ours)};
    fakes::FrontEnd front_end_{std::move(sockets_.theirs)};
    Session session_{{.features = offered, .queue_pairs = 2, .mtu_max = 9000}};

    fakes::GuestRam ram_{1 << 20};
    fakes::SplitDriverRing ring_{ram_, 64, false};
    UniqueFd event_ = fakes::make_eventfd();
};

} // namespace tapline::vhost
