#include "backend/account.h"

#include "backend/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tapline {
namespace {

TEST(Account, IsFoundByNameAndByNumber) {
    const Account by_name = Account::find("root");
    EXPECT_EQ(by_name.name, "root");
    EXPECT_EQ(by_name.user, 0U);
    EXPECT_EQ(by_name.group, 0U);
    EXPECT_THAT(by_name.groups, testing::Contains(0U));
    EXPECT_EQ(Account::find("0").name, "root");
    const Account nobody = Account::find("nobody");
    EXPECT_EQ(Account::find(std::to_string(nobody.user)).name, "nobody");
}

class NoAccount : public testing::TestWithParam<const char*> {};

TEST_P(NoAccount, IsRefusedByWhatItWasCalled) {
    try {
        Account::find(GetParam());
        FAIL() << "somebody was found";
    } catch (const Error& error) {
        EXPECT_EQ(error.what(), std::string("run as user '") + GetParam() +
                                    "': no such user (see `getent passwd`)");
    }
}

INSTANTIATE_TEST_SUITE_P(Texts, NoAccount,
                         testing::Values("", "no-such-user", "-1", "0x0", "0 ", "4294967294",
                                         "99999999999999999999"));

} // namespace
} // namespace tapline
