// Runs the tests of this executable in a network of their own.
#include "tests/netns/lab.h"

#include <gtest/gtest.h>

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    constexpr int skipped = 77; // Meson's word for it.
    if (!tapline::netns::enter_private_network()) {
        std::fputs("needs root: no private network namespace\n", stderr);
        return skipped;
    }
    return RUN_ALL_TESTS();
}
