#include "iouring/tag.h"

#include <gtest/gtest.h>

namespace tapline {
namespace {

TEST(Tag, ComesBackFromTheKernelAsItWent) {
    for (const TagKind kind : {TagKind::tap_read, TagKind::tap_write, TagKind::tap_readable,
                               TagKind::kick, TagKind::call, TagKind::stop}) {
        for (const uint16_t slot : {uint16_t{0}, uint16_t{63}, uint16_t{65535}}) {
            const Tag tag = Tag::unpack(Tag(kind, slot).pack());
            EXPECT_EQ(tag.kind(), kind);
            EXPECT_EQ(tag.slot(), slot);
        }
    }
}

} // namespace
} // namespace tapline
