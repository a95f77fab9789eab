// What the files and marks of devices and host links say, and what they cannot make us believe.
#include "backend/base/error.h"
#include "backend/device_record.h"
#include "backend/host_link_record.h"
#include "backend/record_folder.h"
#include "backend/tap_node.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <string>

namespace tapline {
namespace {

TEST(DeviceAlias, ReadsBackAsItsNumber) {
    for (const uint32_t id : {0U, 1U, 0x4000002aU, 0xffffffffU}) {
        EXPECT_EQ(id_in_alias(device_alias(id)), id);
    }
    EXPECT_EQ(device_alias(0x4000002a), "tapline 4000002a");
}

TEST(DeviceAlias, IsNothingElse) {
    for (const char* alias :
         {"", "tapline", "tapline ", "tapline 4000002", "tapline 4000002a0", "tapline 4000002g",
          "tapline 4000002a ", " tapline 4000002a", "Tapline 4000002a", "tapline -000002a",
          "tapline 0x00002a", "tapline  000002a", "tapline host-link", "4000002a"}) {
        EXPECT_EQ(id_in_alias(alias), std::nullopt) << "'" << alias << "'";
    }
}

TEST(DeviceRecordText, SaysWhoOwnsTheDevice) {
    const RecordedDevice record = parse_device_record(
        42,
        R"({"parent":"eth0","network_namespace":4026531840,"program":"tapline exec","pid":77})");
    EXPECT_EQ(record.id, 42U);
    EXPECT_EQ(record.parent, "eth0");
    EXPECT_EQ(record.program, "tapline exec");
    EXPECT_EQ(record.pid, 77);
    EXPECT_EQ(record.network_namespace, 4026531840U);
}

TEST(DeviceRecordText, ThatWasDamagedIsStillOfItsDevice) {
    for (const char* text : {"", "{", "null", "[]", "\xff\xfe", R"({"parent":7})"}) {
        const RecordedDevice record = parse_device_record(42, text);
        EXPECT_EQ(record.id, 42U) << text;
        EXPECT_EQ(record.parent, "") << text;
        EXPECT_EQ(record.pid, 0) << text;
    }
}

TEST(DeviceRecordText, CannotDriveATerminal) {
    const RecordedDevice record =
        parse_device_record(42, R"({"parent":"e\u001b[2J","program":"a\nb\u0000","pid":1})");
    EXPECT_EQ(record.parent, "e?[2J");
    EXPECT_EQ(record.program, "a?b?");
}

TEST(DeviceRecordText, HasNoProcessFromWhatIsNoProcessNumber) {
    for (const char* pid : {"-1", "0", "1e30", "1.5", "true", "\"7\"", "4294967297", "null"}) {
        const RecordedDevice record = parse_device_record(
            42, std::string(R"({"parent":"eth0","program":"x","network_namespace":5,"pid":)") +
                    pid + "}");
        EXPECT_EQ(record.pid, 0) << pid;
    }
}

constexpr const char* host_link =
    R"({"network_namespace":4026531840,"network_namespace_cookie":1,"parent":"ZXRoMA==",)"
    R"("parent_index":2,"device":"aG9zdDA=","mac":"52:54:00:12:34:56","complete":true,)"
    R"("addresses":[],"routes":[]})";

std::string refusal(const std::string& text) {
    try {
        (void)parse_host_link_record("/run/file", text);
    } catch (const Error& error) {
        return error.what();
    }
    return "taken";
}

std::string changed(const std::string& from, const std::string& to) {
    std::string text = host_link;
    return text.replace(text.find(from), from.size(), to);
}

TEST(HostLinkRecordText, ReadsBackAsWritten) {
    HostLinkRecord record = parse_host_link_record("/run/file", host_link);
    EXPECT_EQ(record.parent, "eth0");
    EXPECT_EQ(record.name, "host0");
    EXPECT_EQ(record.network_namespace, 4026531840U);
    EXPECT_EQ(record.parent_index, 2);
    EXPECT_TRUE(record.complete);
    record.addresses.push_back(IpAddress::make(IpPrefix::parse_address("192.0.2.7/24"), 2));
    record.routes.push_back(IpRoute::make(IpPrefix::parse_network("2001:db8::/64"), 2));
    const HostLinkRecord again = parse_host_link_record("/run/file", text_of(record));
    ASSERT_EQ(again.addresses.size(), 1U);
    EXPECT_EQ(again.addresses.front().message(), record.addresses.front().message());
    ASSERT_EQ(again.routes.size(), 1U);
    EXPECT_EQ(again.routes.front().text(), "2001:db8::/64");
}

TEST(HostLinkRecordText, ThatIsNoneIsRefusedByItsPath) {
    for (const std::string& text :
         {std::string(), std::string("{}"), changed("\"ZXRoMA==\"", "7"),
          changed("52:54:00:12:34:56", "01:00:00:00:00:00"), changed("true", "3"),
          changed("\"parent_index\":2", "\"parent_index\":1e30"),
          changed("\"parent_index\":2", "\"parent_index\":-2"), changed("4026531840", "0"),
          changed("_cookie\":1", "_cookie\":-1"),
          changed("\"parent_index\":2", "\"parent_index\":4294967298"),
          changed("\"addresses\":[]", "\"addresses\":[\"AAAA\"]"),
          // 192.0.2.7 with a length of 200.
          changed("\"addresses\":[]", "\"addresses\":[\"AsgAAAIAAAAIAAIAwAACBw==\"]")}) {
        EXPECT_EQ(refusal(text), "read /run/file: it is no record of a host link (remove the file)")
            << text;
    }
}

TEST(RecordFile, IsReadWhateverItsSizeIsSaidToBe) {
    const UniqueFd file(open("/proc/version", O_RDONLY | O_CLOEXEC)); // Of 0 bytes.
    EXPECT_EQ(read_start(file.get(), 5), "Linux");
    EXPECT_EQ(read_start(-1, 5), std::nullopt);
}

TEST(DeviceNumber, IsTwoNumbersWithAColon) {
    EXPECT_EQ(parse_device_number("/sys/x", "246:7\n"), makedev(246, 7));
    EXPECT_EQ(parse_device_number("/sys/x", "4095:1048575"), makedev(4095, 1048575));
}

TEST(DeviceNumber, IsNothingElse) {
    for (const char* text : {"", "\n", "246", ":", "246:", ":7", "246:7:1", "246: 7", "-1:7",
                             "4096:0", "0:1048576", "0x1:0", "246:7 "}) {
        EXPECT_THROW(parse_device_number("/sys/x", text), Error) << text;
    }
}

} // namespace
} // namespace tapline
