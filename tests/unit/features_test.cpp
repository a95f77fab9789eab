#include "vhost/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tapline::vhost {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Features, NoneHasNoName) {
    EXPECT_THAT(feature_names(0), IsEmpty());
}

TEST(Features, NamesComeLowestBitFirst) {
    EXPECT_THAT(feature_names(bits(Feature::version_1, Feature::csum, Feature::mrg_rxbuf)),
                ElementsAre("VIRTIO_NET_F_CSUM", "VIRTIO_NET_F_MRG_RXBUF", "VIRTIO_F_VERSION_1"));
}

TEST(Features, BitsWithoutANameReadAsNumbers) {
    EXPECT_THAT(feature_names(1ull << 2 | 1ull << 63), ElementsAre("bit 2", "bit 63"));
}

// virtio 1.2, 5.1.3 and 6; vhost-user for bit 30.
TEST(Features, NumbersAreThoseOfTheSpecification) {
    EXPECT_THAT(
        feature_names(1ull << 0 | 1ull << 1 | 1ull << 7 | 1ull << 8 | 1ull << 9 | 1ull << 10),
        ElementsAre("VIRTIO_NET_F_CSUM", "VIRTIO_NET_F_GUEST_CSUM", "VIRTIO_NET_F_GUEST_TSO4",
                    "VIRTIO_NET_F_GUEST_TSO6", "VIRTIO_NET_F_GUEST_ECN", "VIRTIO_NET_F_GUEST_UFO"));
    EXPECT_THAT(
        feature_names(1ull << 11 | 1ull << 12 | 1ull << 13 | 1ull << 14 | 1ull << 15 | 1ull << 22),
        ElementsAre("VIRTIO_NET_F_HOST_TSO4", "VIRTIO_NET_F_HOST_TSO6", "VIRTIO_NET_F_HOST_ECN",
                    "VIRTIO_NET_F_HOST_UFO", "VIRTIO_NET_F_MRG_RXBUF", "VIRTIO_NET_F_MQ"));
    EXPECT_THAT(feature_names(1ull << 28 | 1ull << 29 | 1ull << 30 | 1ull << 32 | 1ull << 54 |
                              1ull << 55 | 1ull << 56),
                ElementsAre("VIRTIO_F_INDIRECT_DESC", "VIRTIO_F_EVENT_IDX",
                            "VHOST_USER_F_PROTOCOL_FEATURES", "VIRTIO_F_VERSION_1",
                            "VIRTIO_NET_F_GUEST_USO4", "VIRTIO_NET_F_GUEST_USO6",
                            "VIRTIO_NET_F_HOST_USO"));
}

TEST(Features, HasLooksAtOneBit) {
    EXPECT_TRUE(has(1ull << 32, Feature::version_1));
    EXPECT_FALSE(has(~(1ull << 32), Feature::version_1));
}

} // namespace
} // namespace tapline::vhost
