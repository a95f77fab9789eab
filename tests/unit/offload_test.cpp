#include "iouring/offload.h"

#include "vhost/features.h"

#include <gtest/gtest.h>
#include <linux/if_tun.h>

namespace tapline {
namespace {

using vhost::bits;
using vhost::Feature;

constexpr unsigned uso4 = 0x20; // TUN_F_USO4 and _USO6 of Linux 6.2.
constexpr unsigned uso6 = 0x40;
constexpr unsigned every_offload =
    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | uso4 | uso6;

TEST(Offload, NoneMeansNoFeatureAndBack) {
    EXPECT_EQ(features_for_offloads(0), 0u);
    EXPECT_EQ(offloads_for_features(0), 0u);
}

struct Pairing {
    unsigned offload;
    uint64_t features;
};

class OffloadPairing : public testing::TestWithParam<Pairing> {};

TEST_P(OffloadPairing, IsOfferedInBothDirections) {
    EXPECT_EQ(features_for_offloads(GetParam().offload), GetParam().features);
}

INSTANTIATE_TEST_SUITE_P(
    Each, OffloadPairing,
    testing::Values(Pairing{TUN_F_CSUM, bits(Feature::csum, Feature::guest_csum)},
                    Pairing{TUN_F_TSO4, bits(Feature::host_tso4, Feature::guest_tso4)},
                    Pairing{TUN_F_TSO6, bits(Feature::host_tso6, Feature::guest_tso6)},
                    Pairing{TUN_F_TSO_ECN, bits(Feature::host_ecn, Feature::guest_ecn)},
                    Pairing{TUN_F_UFO, bits(Feature::host_ufo, Feature::guest_ufo)},
                    Pairing{uso4, bits(Feature::host_uso, Feature::guest_uso4)},
                    Pairing{uso6, bits(Feature::host_uso, Feature::guest_uso6)}));

TEST(Offload, AllThatIsOfferedCanBeSetAgain) {
    EXPECT_EQ(offloads_for_features(features_for_offloads(every_offload)), every_offload);
}

TEST(Offload, WithoutChecksumsTheGuestTakesNoOther) {
    EXPECT_EQ(offloads_for_features(bits(Feature::guest_tso4, Feature::guest_tso6)), 0u);
    EXPECT_EQ(offloads_for_features(bits(Feature::guest_csum)), unsigned{TUN_F_CSUM});
}

TEST(Offload, WhatTheGuestOnlySendsIsNotSet) {
    EXPECT_EQ(offloads_for_features(bits(Feature::csum, Feature::host_tso4, Feature::host_uso)),
              0u);
}

// The kernel's set_offload() refuses one of the two alone.
TEST(Offload, UdpSegmentationIsSetForBothFamiliesOrNeither) {
    const uint64_t csum = bits(Feature::guest_csum);
    EXPECT_EQ(offloads_for_features(csum | bits(Feature::guest_uso4)), unsigned{TUN_F_CSUM});
    EXPECT_EQ(offloads_for_features(csum | bits(Feature::guest_uso6)), unsigned{TUN_F_CSUM});
    EXPECT_EQ(offloads_for_features(csum | bits(Feature::guest_uso4, Feature::guest_uso6)),
              TUN_F_CSUM | uso4 | uso6);
}

} // namespace
} // namespace tapline
