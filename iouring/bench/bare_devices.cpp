#include "iouring/bench/bare_devices.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace tapline::bench {
namespace {

constexpr uint32_t queue_length = 1024;
constexpr size_t answer_bytes = 1 << 18;
constexpr const char* own_node = "/run/bare-tap";

// The kernel is asked in ways it must take: a refusal is no measurement.
int must(int result, const char* operation) {
    if (result < 0) {
        throw Error::from_errno(operation);
    }
    return result;
}

dev_t device_number(int index) {
    const std::string path = fmt::format("/sys/class/macvtap/tap{}/dev", index);
    const UniqueFd file(must(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open a device in sysfs"));
    std::array<char, 32> text{};
    must(static_cast<int>(read(file.get(), text.data(), text.size() - 1)), "read sysfs");
    unsigned major_number = 0;
    unsigned minor_number = 0;
    if (std::sscanf(text.data(), "%u:%u", &major_number, &minor_number) != 2) {
        throw Error({.operation = "read " + path, .cause = "no device number"});
    }
    return makedev(major_number, minor_number);
}

void open_queue(const char* node, std::vector<UniqueFd>& queues) {
    const int fd = must(open(node, O_RDWR | O_CLOEXEC), "open a tap queue");
    queues.emplace_back(fd);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    const int unlimited = INT_MAX;
    const int header_bytes = 12;
    const int little_endian = 1;
    must(ioctl(fd, TUNSETIFF, &request), "TUNSETIFF");
    must(ioctl(fd, TUNSETSNDBUF, &unlimited), "TUNSETSNDBUF");
    must(ioctl(fd, TUNSETVNETHDRSZ, &header_bytes), "TUNSETVNETHDRSZ");
    must(ioctl(fd, TUNSETVNETLE, &little_endian), "TUNSETVNETLE");
    must(ioctl(fd, TUNSETOFFLOAD, 0UL), "TUNSETOFFLOAD");
}

} // namespace

class BareMessage {
public:
    BareMessage(uint16_t type, uint16_t flags, const ifinfomsg& head) {
        header_.nlmsg_type = type;
        header_.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
        append(&head, sizeof head);
    }

    void put(uint16_t type, const void* value, size_t length) {
        const nlattr head{.nla_len = static_cast<uint16_t>(sizeof head + length), .nla_type = type};
        append(&head, sizeof head);
        append(value, length);
    }
    void put(uint16_t type, const std::string& text) { put(type, text.c_str(), text.size() + 1); }
    void put(uint16_t type, uint32_t number) { put(type, &number, sizeof number); }

    size_t begin(uint16_t type) {
        const size_t start = size_;
        put(type, nullptr, 0);
        return start;
    }
    void end(size_t start) {
        const auto length = static_cast<uint16_t>(size_ - start);
        std::memcpy(bytes_.data() + start, &length, sizeof length);
    }

    // The bytes, ready to be sent.
    std::string_view bytes(uint32_t sequence) {
        header_.nlmsg_seq = sequence;
        header_.nlmsg_len = static_cast<uint32_t>(size_);
        std::memcpy(bytes_.data(), &header_, sizeof header_);
        return {bytes_.data(), size_};
    }

private:
    void append(const void* value, size_t length) {
        if (length > 0) {
            std::memcpy(bytes_.data() + size_, value, length);
        }
        size_ += NLMSG_ALIGN(length);
    }

    nlmsghdr header_{};
    std::array<char, 512> bytes_{};
    size_t size_ = NLMSG_HDRLEN;
};

BareDevices::BareDevices(int parent_index)
    : parent_index_(parent_index),
      socket_(must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "open netlink")),
      answer_(answer_bytes) {}

// Until the kernel is done; the index of the last link it told of.
int BareDevices::exchange(BareMessage& message) {
    const std::string_view request = message.bytes(++sequence_);
    must(static_cast<int>(send(socket_.get(), request.data(), request.size(), 0)), "send netlink");
    int index = 0;
    for (;;) {
        const int received = must(
            static_cast<int>(recv(socket_.get(), answer_.data(), answer_.size(), 0)), "netlink");
        for (size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<size_t>(received);) {
            nlmsghdr header{};
            std::memcpy(&header, answer_.data() + at, sizeof header);
            const char* payload = answer_.data() + at + NLMSG_HDRLEN;
            if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
                int code = 0;
                std::memcpy(&code, payload, sizeof code);
                errno = -code;
                must(code, "change a link over netlink");
                return index;
            }
            ifinfomsg link{};
            std::memcpy(&link, payload, sizeof link);
            index = link.ifi_index;
            at += NLMSG_ALIGN(header.nlmsg_len);
        }
    }
}

int BareDevices::create() {
    const uint32_t id = ++id_;
    const std::array<uint8_t, 6> mac = {0x52,
                                        0x54,
                                        0x00,
                                        static_cast<uint8_t>(id >> 16),
                                        static_cast<uint8_t>(id >> 8),
                                        static_cast<uint8_t>(id)};
    BareMessage creation(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO | NLM_F_ACK, {});
    creation.put(IFLA_IFNAME, "tl%d");
    creation.put(IFLA_LINK, static_cast<uint32_t>(parent_index_));
    creation.put(IFLA_GROUP, id);
    creation.put(IFLA_TXQLEN, queue_length);
    creation.put(IFLA_ADDRESS, mac.data(), mac.size());
    const size_t info = creation.begin(IFLA_LINKINFO);
    creation.put(IFLA_INFO_KIND, "macvtap");
    const size_t data = creation.begin(IFLA_INFO_DATA);
    creation.put(IFLA_MACVLAN_MODE, uint32_t{MACVLAN_MODE_BRIDGE});
    creation.end(data);
    creation.end(info);
    const int index = exchange(creation);

    BareMessage mark(RTM_SETLINK, NLM_F_ACK,
                     {.ifi_index = index, .ifi_flags = IFF_ALLMULTI, .ifi_change = IFF_ALLMULTI});
    mark.put(IFLA_IFALIAS, fmt::format("tapline {:08x}", id));
    mark.put(IFLA_GROUP, uint32_t{0});
    const size_t families = mark.begin(IFLA_AF_SPEC);
    const size_t inet6 = mark.begin(AF_INET6);
    const uint8_t no_address = 1; // IN6_ADDR_GEN_MODE_NONE
    mark.put(IFLA_INET6_ADDR_GEN_MODE, &no_address, sizeof no_address);
    mark.end(inet6);
    mark.end(families);
    exchange(mark);

    BareMessage up(RTM_SETLINK, NLM_F_ACK,
                   {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
    exchange(up);
    return index;
}

// /dev is shared by network namespaces: where /dev/tapN is another one's, a node is made.
std::vector<UniqueFd> BareDevices::open_queues(int index, unsigned count) {
    const std::string path = fmt::format("/dev/tap{}", index);
    const dev_t number = device_number(index);
    struct stat facts {};
    const bool there = stat(path.c_str(), &facts) == 0 && facts.st_rdev == number;
    if (!there) {
        must(mknod(own_node, S_IFCHR | S_IRUSR | S_IWUSR, number), "make a node");
    }
    std::vector<UniqueFd> queues;
    for (unsigned i = 0; i < count; ++i) {
        open_queue(there ? path.c_str() : own_node, queues);
    }
    if (!there) {
        unlink(own_node);
    }
    return queues;
}

void BareDevices::remove(int index) {
    BareMessage removal(RTM_DELLINK, NLM_F_ACK, {.ifi_index = index});
    exchange(removal);
}

void BareDevices::list() {
    BareMessage dump(RTM_GETLINK, NLM_F_DUMP, {});
    exchange(dump);
}

} // namespace tapline::bench
