#include "hooks/libvirt/connection.h"

#include "backend/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tapline::libvirt {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(LibvirtConnection, OthersThanThisHostsSystemGuestsAreRefusedForGood) {
    for (const std::string uri :
         {"test:///default", "qemu:///session", "qemu:///embed?root=/tmp", "qemu+ssh://host/system",
          "qemu://host/system", "qemu:///system2", ""}) {
        try {
            Connection::open(uri);
            ADD_FAILURE() << "connected to " << uri;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ENOTSUP) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(uri));
        }
    }
}

TEST(LibvirtConnection, WhatLibvirtSaysIsToldOnceAndByUs) {
    testing::internal::CaptureStderr();
    try {
        Connection::open("qemu:///system?socket=/nonexistent/socket");
        ADD_FAILURE() << "connected";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), StartsWith("connect to libvirt: "));
        EXPECT_THAT(error.what(), HasSubstr("/nonexistent/socket"));
        EXPECT_NE(error.code(), ENOTSUP);
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

} // namespace
} // namespace tapline::libvirt
