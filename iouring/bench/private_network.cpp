#include "iouring/bench/private_network.h"

#include "backend/base/error.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <sched.h>
#include <sys/mount.h>

#include <string>

namespace tapline::bench {
namespace {

constexpr const char* wire_name = "wire0";

void mount_fresh(const char* filesystem, const char* place) {
    if (mount(filesystem, place, filesystem, 0, nullptr) < 0) {
        throw Error::from_errno(std::string("mount ") + filesystem + " on " + place);
    }
}

Netlink::Answer expect(Netlink& netlink, const LinkRequest& request) {
    Netlink::Answer answer = netlink.request(request);
    if (answer.refusal) {
        throw Error({.operation = "make a veth pair",
                     .cause = answer.refusal->text,
                     .next_step = answer.refusal->code == EOPNOTSUPP ? "modprobe veth" : "",
                     .code = answer.refusal->code});
    }
    return answer;
}

} // namespace

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
}

Link make_wire(Netlink& netlink) {
    LinkRequest request = LinkRequest::create();
    request.put(IFLA_IFNAME, wire_name);
    {
        const auto info = request.nest(IFLA_LINKINFO);
        request.put(IFLA_INFO_KIND, "veth");
    }
    expect(netlink, request);
    const Link wire = netlink.link(wire_name).value();
    expect(netlink, LinkRequest::change(wire.parent_index, IFF_UP)); // Of a veth: its peer.
    expect(netlink, LinkRequest::change(wire.index, IFF_UP));
    return wire;
}

} // namespace tapline::bench
