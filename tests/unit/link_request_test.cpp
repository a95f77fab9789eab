#include "backend/link_request.h"

#include "backend/allowed_macs.h"
#include "backend/base/error.h"
#include "backend/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_link.h>

#include <new>

namespace tapline {
namespace {

using testing::ElementsAreArray;

nlmsghdr* header_of(const LinkRequest& request) {
    return nlmsg_hdr(request.message());
}

ifinfomsg head_of(const LinkRequest& request) {
    return *static_cast<ifinfomsg*>(nlmsg_data(header_of(request)));
}

std::vector<MacAddress> some_macs(unsigned count) {
    std::vector<MacAddress> macs;
    for (unsigned i = 0; i < count; ++i) {
        macs.push_back(
            MacAddress({0x52, 0x54, 0, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}));
    }
    return macs;
}

// What the kernel would read, by the reader of what the kernel writes.
TEST(LinkRequest, ReadsAsTheLinkItAsksFor) {
    LinkRequest request = LinkRequest::create();
    request.put(IFLA_IFNAME, "tl0");
    request.put(IFLA_LINK, uint32_t{2});
    request.put(IFLA_ADDRESS, MacAddress::parse("52:54:00:12:34:56"));
    request.put(IFLA_TXQLEN, uint32_t{1024});
    {
        const auto info = request.nest(IFLA_LINKINFO);
        request.put(IFLA_INFO_KIND, "macvtap");
        const auto data = request.nest(IFLA_INFO_DATA);
        request.put(IFLA_MACVLAN_MODE, uint32_t{MACVLAN_MODE_SOURCE});
        put_allowed_macs(request, some_macs(3));
    }
    request.put(IFLA_MTU, uint32_t{1400}); // Behind the nest, not in it.
    EXPECT_EQ(header_of(request)->nlmsg_flags, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO);
    static_cast<ifinfomsg*>(nlmsg_data(header_of(request)))->ifi_index = 7;
    const auto link = parse_link(header_of(request));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->name, "tl0");
    EXPECT_EQ(link->parent_index, 2);
    EXPECT_EQ(link->mac, MacAddress::parse("52:54:00:12:34:56"));
    EXPECT_EQ(link->queue_length, 1024U);
    EXPECT_EQ(link->kind, "macvtap");
    EXPECT_EQ(link->mode, uint32_t{MACVLAN_MODE_SOURCE});
    EXPECT_THAT(link->allowed_macs, ElementsAreArray(some_macs(3)));
    EXPECT_EQ(link->mtu, 1400U);
}

TEST(LinkRequest, ChangesOnlyTheFlagsItNames) {
    const LinkRequest up = LinkRequest::change(7, IFF_UP, IFF_ALLMULTI);
    EXPECT_EQ(header_of(up)->nlmsg_type, RTM_SETLINK);
    EXPECT_EQ(head_of(up).ifi_index, 7);
    EXPECT_EQ(head_of(up).ifi_flags, unsigned{IFF_UP});
    EXPECT_EQ(head_of(up).ifi_change, unsigned{IFF_UP | IFF_ALLMULTI});
    EXPECT_EQ(head_of(LinkRequest::change(7)).ifi_change, 0U);
}

TEST(LinkRequest, OnALinkThereIsNeverMakesOne) {
    for (const LinkRequest& request : {LinkRequest::change_kind(7), LinkRequest::remove(7)}) {
        EXPECT_EQ(head_of(request).ifi_index, 7);
        EXPECT_EQ(header_of(request)->nlmsg_flags & NLM_F_CREATE, 0);
    }
    EXPECT_EQ(header_of(LinkRequest::change_kind(7))->nlmsg_type, RTM_NEWLINK);
    EXPECT_EQ(header_of(LinkRequest::remove(7))->nlmsg_type, RTM_DELLINK);
}

TEST(LinkRequest, GetsOneLinkOrAll) {
    EXPECT_EQ(head_of(LinkRequest::get(7)).ifi_index, 7);
    EXPECT_EQ(head_of(LinkRequest::get("tl0")).ifi_index, 0);
    EXPECT_EQ(header_of(LinkRequest::get("tl0"))->nlmsg_flags & NLM_F_DUMP, 0);
    EXPECT_EQ(header_of(LinkRequest::get_all())->nlmsg_flags & NLM_F_DUMP, NLM_F_DUMP);
}

TEST(LinkRequest, HasRoomForTheLongestListOfAddressesAndNoMoreThanAPage) {
    LinkRequest request = LinkRequest::create();
    put_allowed_macs(request, some_macs(allowed_macs_max));
    EXPECT_THROW(put_allowed_macs(request, some_macs(allowed_macs_max)), std::bad_alloc);
}

// What is refused is refused before the kernel is asked: the device is none.
class AllowedMacs : public testing::Test {
protected:
    std::string refusal(AllowedMacsChange change, const std::vector<MacAddress>& macs) {
        try {
            change_allowed_macs(netlink_, device_, change, macs);
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    Netlink netlink_ = Netlink::open();
    MacvtapDevice device_{.name = "tl0",
                          .index = 1 << 30,
                          .mode = MacvlanMode::source,
                          .allowed_macs = some_macs(allowed_macs_max)};
};

TEST_F(AllowedMacs, OnTheListAlreadyNeedNoRequest) {
    EXPECT_EQ(refusal(AllowedMacsChange::add, some_macs(2)), "");
    EXPECT_EQ(refusal(AllowedMacsChange::replace, some_macs(allowed_macs_max)), "");
}

TEST_F(AllowedMacs, OverTheLimitAreRefused) {
    EXPECT_EQ(refusal(AllowedMacsChange::add, some_macs(allowed_macs_max + 1)),
              "change the allowed MAC addresses of 'tl0': it would have more than 256");
}

TEST_F(AllowedMacs, ThatAreNotOnTheListCannotBeRemoved) {
    device_.allowed_macs = some_macs(1);
    EXPECT_EQ(refusal(AllowedMacsChange::remove, some_macs(2)),
              "change the allowed MAC addresses of 'tl0': 52:54:00:00:00:01 is not on the list");
}

TEST_F(AllowedMacs, AreOfModeSourceOnly) {
    device_.mode = MacvlanMode::bridge;
    EXPECT_EQ(refusal(AllowedMacsChange::add, some_macs(1)),
              "change the allowed MAC addresses of 'tl0': mode bridge has no list of them "
              "(create it with --mode source)");
}

} // namespace
} // namespace tapline
