// What QEMU runs for `-netdev tap,helper=`: gives an unprivileged QEMU one queue of a new macvtap,
// where the access file allows it, and deletes the device when that QEMU has ended.
#include "backend/access_file.h"
#include "backend/account.h"
#include "backend/asker.h"
#include "backend/base/error.h"
#include "backend/base/main_loop.h"
#include "backend/base/number.h"
#include "backend/base/program.h"
#include "backend/interface_options.h"
#include "backend/link_watch.h"
#include "backend/privileges.h"
#include "backend/station.h"
#include "backend/tap_queue.h"
#include "backend/trusted_file.h"

#include "config.h"

#include <fcntl.h>
#include <linux/if.h>
#include <pwd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>

namespace tapline {
namespace {

constexpr const char* access_file = TAPLINE_SYSCONF "/access.conf";

struct Options {
    InterfaceSpec interface;
    int socket;
};

Options parse_options(const std::vector<std::string>& arguments) {
    InterfaceText text;
    std::optional<std::string> bridge;
    std::optional<std::string> fd;
    bool use_vnet = false;
    CommandLine command_line("", "Give QEMU a macvtap device: -netdev tap,id=ID,helper=\"" //
                             TAPLINE_LIBEXEC "/tapline-helper --parent IF\"");
    add_interface_options(command_line, text);
    command_line.value("br", "IF", "The same as --parent, which wins over it; from QEMU", bridge);
    command_line.value("fd", "N", "Unix socket on which the tap queue is sent; from QEMU", fd);
    command_line.flag("use-vnet", "Frames have a virtio header; from QEMU", use_vnet);
    command_line.parse_options(arguments);
    if (!fd || !use_vnet) {
        throw UsageError("tapline-helper needs --use-vnet and --fd N, which QEMU gives it: see "
                         "-netdev tap,helper=");
    }
    if (!text.parent && !bridge) {
        throw UsageError("tapline-helper needs --parent IF");
    }
    if (text.owner || text.node_mode) {
        throw UsageError("--owner, --node-mode: QEMU gets an open descriptor and needs no node");
    }
    if (text.queues.value_or("1") != "1") {
        throw UsageError("--queues: QEMU takes no more than one queue from a helper");
    }
    if (text.kind.value_or("macvtap") != "macvtap") {
        throw UsageError("--kind: rules are about the modes of macvtaps, so there are no others");
    }
    text.parent = text.parent ? text.parent : bridge;
    return {.interface = InterfaceSpec::parse(text),
            .socket = parse_number<int>("descriptor", *fd, STDERR_FILENO + 1, INT_MAX)};
}

// What the caller left open is none of our business, least of all for as long as its device lives.
void close_all_but(int fd) {
    const auto kept = static_cast<unsigned>(fd);
    if ((kept > STDERR_FILENO + 1 && close_range(STDERR_FILENO + 1, kept - 1, 0) < 0) ||
        close_range(kept + 1, UINT_MAX, 0) < 0) {
        throw Error::from_errno("close inherited descriptors");
    }
}

// Rules go by names, so an interface may have only one here. For the kernel alternative names are
// as good, and a macvlan or macvtap stands for the parent of its own.
void refuse_unfit_parent(Netlink& netlink, const std::string& name) {
    const auto link = netlink.link(name);
    if (!link) {
        return; // Told where the device is made.
    }
    const std::string operation = fmt::format("give a user a device on '{}'", name);
    if (name != link->name) {
        throw Error({.operation = operation,
                     .cause = "this is an alternative name",
                     .next_step = fmt::format("use '{}'", link->name)});
    }
    if (is_station(*link)) {
        throw Error({.operation = operation,
                     .cause = fmt::format("it is a {} on another interface", link->kind),
                     .next_step = "use that interface"});
    }
    if (!link->has_flag(IFF_UP)) {
        throw Error({.operation = operation,
                     .cause = "it is down, and only an administrator may bring it up",
                     .next_step = fmt::format("ip link set {} up", name)});
    }
}

// Those of the user database, which a process can give up, and those the process has.
std::vector<gid_t> all_groups(const passwd* account) {
    std::vector<gid_t> groups = account != nullptr ? groups_of(*account) : std::vector<gid_t>();
    std::vector<gid_t> held(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
    if (getgroups(static_cast<int>(held.size()), held.data()) < 0) {
        throw Error::from_errno("list the groups of the process");
    }
    groups.insert(groups.end(), held.begin(), held.end());
    groups.push_back(getgid());
    return groups;
}

void refuse_what_is_not_allowed(const InterfaceSpec& interface) {
    errno = 0;
    const passwd* account = getpwuid(getuid());
    if (account == nullptr && errno != 0 && errno != ENOENT && errno != ESRCH) {
        throw Error::from_errno(fmt::format("look up user {}", getuid()));
    }
    const std::string user = account != nullptr ? account->pw_name : std::to_string(getuid());
    const AccessRequest request{.user = getuid(),
                                .groups = all_groups(account),
                                .parent = interface.parent(),
                                .mode = interface.mode()};
    const AccessRules rules = read_access_file(access_file, [](const std::string& path) {
        const CapabilityScope scope(Capabilities::in_effect); // It need not be for all to read.
        return read_trusted_file(path);
    });
    if (rules.allows(request)) {
        return;
    }
    const std::string operation = fmt::format("give user '{}' a device in mode {} on '{}'", user,
                                              to_text(interface.mode()), interface.parent());
    if (const AccessRule* rule = rules.deciding_rule(request)) {
        throw Error({.operation = operation,
                     .cause = fmt::format("{} denies it", rule->place),
                     .next_step = "a rule that denies wins over all that allow"});
    }
    throw Error({.operation = operation,
                 .cause = fmt::format("no rule in {} allows it", access_file),
                 .next_step = fmt::format("add: allow {} {} {}", user, interface.parent(),
                                          to_text(interface.mode()))});
}

// Nobody waits for the watcher, and it says nothing: the terminal, the pipes and the folder of the
// caller are not its own.
void leave_the_caller() {
    setsid();
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (dup2(null.get(), fd) < 0) {
            throw Error::from_errno("leave the standard descriptors");
        }
    }
    if (chdir("/") < 0) {
        throw Error::from_errno("leave the working folder");
    }
}

// Until the asking process ends, the device goes or somebody sends SIGTERM.
void watch(const Asker& asker, LinkWatch links, Netlink& netlink, const MacvtapDevice& device) {
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    const UniqueFd signals(signalfd(-1, &terminate, SFD_CLOEXEC));
    if (!signals) {
        throw Error::from_errno("wait for signals");
    }
    const CapabilityScope scope(Capabilities::without_effect);
    MainLoop loop;
    const auto end = [&] { loop.quit(); };
    const auto process = loop.on_readable(asker.process(), end);
    const auto signal = loop.on_readable(signals.get(), end);
    const auto link = loop.on_readable(links.fd(), [&] {
        links.drain();
        if (is_gone(netlink, device)) {
            loop.quit();
        }
    });
    loop.run();
}

int run(std::vector<std::string> arguments) {
    drop_privileges();
    arguments.at(0) = "tapline-helper";
    const Options options = parse_options(arguments);
    close_all_but(options.socket);
    Asker asker = Asker::behind(UniqueFd(options.socket));

    Netlink netlink = Netlink::open();
    refuse_unfit_parent(netlink, options.interface.parent());
    refuse_what_is_not_allowed(options.interface);
    LinkWatch links = LinkWatch::open(); // Before the device: nothing that happens to it is missed.
    const CapabilityScope scope(Capabilities::in_effect); // For the device's end, too.
    OwnedMacvtap owned = OwnedMacvtap::create(netlink, options.interface);
    asker.give(TapQueue::open(TapNode::of(owned.device())).fd());

    const pid_t watcher = fork();
    if (watcher < 0) {
        throw Error::from_errno("start a watcher that deletes the device");
    }
    if (watcher > 0) {
        _exit(0); // Without its destructor: the device is the watcher's.
    }
    owned.take_over();
    asker.hang_up();
    leave_the_caller();
    watch(asker, std::move(links), netlink, owned.device());
    return 0;
}

} // namespace
} // namespace tapline

int main(int argc, char** argv) {
    // What the caller could have prepared for a program with more rights than his.
    clearenv();
    umask(S_IRWXG | S_IRWXO);
    // No signal may end the program between making a device and having somebody to delete it.
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    return tapline::run_program("tapline-helper", [&] {
        return tapline::run({argv, argv + argc});
    });
}
