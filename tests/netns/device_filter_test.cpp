// What a device takes from its parent, changed while it is up.
#include "backend/device_filter.h"

#include "backend/base/error.h"
#include "tests/netns/device_lab.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace tapline::netns {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const MacAddress first_group = MacAddress::parse_group("01:00:5e:01:02:03");
const MacAddress second_group = MacAddress::parse_group("33:33:00:00:01:02");
const MacAddress changed = MacAddress::parse("52:54:00:00:00:77");

class DeviceFilterLab : public DeviceLab {
protected:
    void SetUp() override {
        create("tl0", {"--multicast", "joined"});
        device_ = find_macvtap(netlink_, "tl0");
    }

    DeviceFilter filter() { return read_device_filter(netlink_, device_).value(); }

    Netlink netlink_ = Netlink::open();
    MacvtapDevice device_;
};

TEST_F(DeviceFilterLab, GroupsAreJoinedAndLeftOnce) {
    EXPECT_THAT(filter().groups, IsEmpty());
    for (int i = 0; i < 2; ++i) { // Twice is no more than once.
        change_device_filter(netlink_, device_, {.join = {first_group, second_group}});
    }
    EXPECT_THAT(filter().groups, ElementsAre(first_group, second_group));
    for (int i = 0; i < 2; ++i) {
        change_device_filter(netlink_, device_, {.leave = {first_group}});
    }
    EXPECT_THAT(filter().groups, ElementsAre(second_group));
}

// The kernel's list is empty then.
TEST_F(DeviceFilterLab, NoGroupIsJoinedWhereNoDeviceWasEverUp) {
    std::thread elsewhere([] {
        ASSERT_EQ(unshare(CLONE_NEWNET), 0);
        run("ip link add uplink type veth peer name far");
        run("ip link add link uplink name tl1 type macvtap");
        Netlink netlink = Netlink::open();
        const auto filter = read_device_filter(netlink, find_macvtap(netlink, "tl1"));
        EXPECT_THAT(filter.value().groups, IsEmpty());
    });
    elsewhere.join();
}

TEST_F(DeviceFilterLab, AllGroupsComeAndGo) {
    for (const bool all : {true, false}) {
        change_device_filter(netlink_, device_, {.all_groups = all});
        EXPECT_EQ(filter().all_groups, all);
    }
}

TEST_F(DeviceFilterLab, TheAddressChangesWhileTheDeviceIsUp) {
    change_device_filter(netlink_, device_, {.mac = changed});
    EXPECT_EQ(filter().mac, changed);
    EXPECT_TRUE(find_macvtap(netlink_, "tl0").up);
}

TEST_F(DeviceFilterLab, ARefusedPartDoesNotStopTheOthers) {
    create("tl1", {"--mac", changed.text()});
    EXPECT_THROW(change_device_filter(netlink_, device_, {.mac = changed, .join = {first_group}}),
                 Error);
    EXPECT_THAT(filter().groups, ElementsAre(first_group));
    EXPECT_NE(filter().mac, changed);
}

TEST_F(DeviceFilterLab, ADeviceThatIsGoneHasNone) {
    delete_macvtap(netlink_, device_);
    EXPECT_FALSE(read_device_filter(netlink_, device_));
    EXPECT_THROW(change_device_filter(netlink_, device_, {.join = {first_group}}), Error);
}

} // namespace
} // namespace tapline::netns
