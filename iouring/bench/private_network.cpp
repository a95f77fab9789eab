#include "iouring/bench/private_network.h"

#include "backend/base/error.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>
#include <string>

namespace tapline::bench {
namespace {

constexpr const char* wire_name = "wire0";

void mount_fresh(const char* filesystem, const char* place) {
    if (mount(filesystem, place, filesystem, 0, nullptr) < 0) {
        throw Error::from_errno(std::string("mount ") + filesystem + " on " + place);
    }
}

void expect(Netlink& netlink, const LinkRequest& request, WireKind kind) {
    if (const auto refusal = netlink.request(request).refusal) {
        const std::string module = to_text(kind);
        throw Error({.operation = "make the wire, of kind " + module,
                     .cause = refusal->text,
                     .next_step = refusal->code == EOPNOTSUPP ? "modprobe " + module : "",
                     .code = refusal->code});
    }
}

void bring_up(Netlink& netlink, int index, WireKind kind, uint32_t mtu) {
    LinkRequest request = LinkRequest::change(index, IFF_UP);
    request.put(IFLA_MTU, mtu);
    expect(netlink, request, kind);
}

// Else what the kernel sends of its own would be counted.
void switch_off_ipv6() {
    for (const char* which : {"all", "default"}) {
        std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << 1;
    }
}

} // namespace

const char* to_text(WireKind kind) {
    return kind == WireKind::veth ? "veth" : "ifb";
}

void enter_private_network() {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        throw Error::from_errno("make a private network",
                                errno == EPERM ? "needs CAP_SYS_ADMIN: run as root" : "");
    }
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
        throw Error::from_errno("keep mounts private");
    }
    mount_fresh("sysfs", "/sys");
    mount_fresh("tmpfs", "/run");
    switch_off_ipv6();
}

Link make_wire(Netlink& netlink, WireKind kind, uint32_t mtu) {
    LinkRequest request = LinkRequest::create();
    request.put(IFLA_IFNAME, wire_name);
    {
        const auto info = request.nest(IFLA_LINKINFO);
        request.put(IFLA_INFO_KIND, std::string(to_text(kind)));
    }
    expect(netlink, request, kind);
    const Link wire = netlink.link(wire_name).value();
    if (kind == WireKind::veth) {
        bring_up(netlink, wire.parent_index, kind, mtu); // Its peer.
    }
    bring_up(netlink, wire.index, kind, mtu);
    return netlink.link(wire_name).value();
}

} // namespace tapline::bench
