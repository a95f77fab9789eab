#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/main_loop.h"
#include "backend/base/number.h"
#include "backend/child_process.h"
#include "backend/interface_options.h"
#include "backend/link_watch.h"
#include "backend/reconcile.h"
#include "backend/tap_queue.h"
#include "backend/verbs/verbs.h"

#include <fcntl.h>

#include <csignal>
#include <optional>
#include <utility>

namespace tapline {
namespace {

struct ExecOptions {
    InterfaceText text;
    std::optional<std::string> device;
    std::optional<std::string> user;
    bool vhost = false;
    Arguments command;
};

void check(const ExecOptions& options) {
    if (options.text.parent.has_value() == options.device.has_value()) {
        throw UsageError("exec needs exactly one of --parent and --device");
    }
    if (options.device && options.text.describes_device()) {
        throw UsageError("what a device shall be can only be said with --parent");
    }
    if (options.command.empty()) {
        throw UsageError("needs a COMMAND, after --");
    }
}

std::vector<UniqueFd> open_vhost_net(size_t count) {
    std::vector<UniqueFd> fds;
    for (size_t i = 0; i < count; ++i) {
        fds.emplace_back(open("/dev/vhost-net", O_RDWR | O_CLOEXEC));
        if (!fds.back()) {
            throw Error::from_errno("open /dev/vhost-net",
                                    errno == ENOENT ? "modprobe vhost_net, or leave out --vhost"
                                                    : "leave out --vhost");
        }
    }
    return fds;
}

// As QEMU wants them: "5:6:7".
std::string colon_list(const std::vector<int>& fds) {
    std::string list;
    for (const int fd : fds) {
        list += fmt::format("{}{}", list.empty() ? "" : ":", fd);
    }
    return list;
}

using Placeholders = std::vector<std::pair<std::string, std::string>>;

// Only what is in the command line is replaced, not what that put in.
std::string substitute(const std::string& text, const Placeholders& placeholders) {
    std::string result;
    for (size_t at = 0; at < text.size();) {
        size_t taken = 0;
        for (const auto& [name, value] : placeholders) {
            if (text.compare(at, name.size(), name) == 0) {
                result += value;
                taken = name.size();
            }
        }
        if (taken == 0) {
            result += text[at];
        }
        at += std::max<size_t>(taken, 1);
    }
    return result;
}

// What is open for the command and no longer than until it has it.
struct Handover {
    std::vector<TapQueue> queues;
    std::vector<UniqueFd> vhost_fds;

    std::vector<int> queue_numbers() const {
        std::vector<int> numbers;
        for (const TapQueue& queue : queues) {
            numbers.push_back(queue.fd());
        }
        return numbers;
    }
    std::vector<int> vhost_numbers() const {
        std::vector<int> numbers;
        for (const UniqueFd& fd : vhost_fds) {
            numbers.push_back(fd.get());
        }
        return numbers;
    }
};

ChildProcess start(const ExecOptions& options, const MacvtapDevice& device, uint16_t queues,
                   const Account* account, int network_namespace) {
    const Handover open{.queues = open_queues(device, queues),
                        .vhost_fds = open_vhost_net(options.vhost ? queues : 0)};
    const Placeholders placeholders = {{"{fds}", colon_list(open.queue_numbers())},
                                       {"{vhostfds}", colon_list(open.vhost_numbers())},
                                       {"{mac}", device.mac.text()},
                                       {"{ifname}", device.name}};
    Command command{
        .fds = open.queue_numbers(), .account = account, .network_namespace = network_namespace};
    const auto vhost = open.vhost_numbers();
    command.fds.insert(command.fds.end(), vhost.begin(), vhost.end());
    for (const std::string& argument : options.command) {
        command.arguments.push_back(substitute(argument, placeholders));
    }
    return ChildProcess::start(command);
}

// Tells once when the device goes: its queues would not.
MainLoop::Source watch(MainLoop& loop, LinkWatch& links, Netlink& netlink,
                       const MacvtapDevice& device) {
    return loop.on_readable(links.fd(), [&, told = false]() mutable {
        links.drain();
        if (!told && is_gone(netlink, device)) {
            log(LogLevel::warning, "device '{}' was deleted: the command has no network any more",
                device.name);
            told = true;
        }
    });
}

} // namespace

int exec_verb(const Arguments& arguments) {
    ExecOptions options;
    CommandLine command_line("-- COMMAND [ARGUMENT...]",
                             "Run a command with the opened queues of a device. In its arguments "
                             "{fds}, {vhostfds}, {mac} and {ifname} are replaced.");
    add_interface_options(command_line, options.text);
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.value("device", "NAME", "Use this macvtap, and leave it, instead of making one",
                       options.device);
    command_line.flag("vhost", "Open /dev/vhost-net too, once a queue", options.vhost);
    command_line.value("user", "USER", "Run the command as this user", options.user);
    options.command = command_line.parse(arguments);
    check(options);
    const auto account = options.user ? std::optional(Account::find(*options.user)) : std::nullopt;
    const auto spec =
        options.device ? std::nullopt : std::optional(InterfaceSpec::parse(options.text));
    const auto queues =
        spec ? spec->queue_pairs() : parse_queue_pairs(options.text.queues.value_or("1"));
    const UniqueFd home = network_namespace.enter();
    MainLoop loop;
    std::optional<ChildProcess> child; // Set when the loop runs.
    // First of all: from here on a signal leads to the command's end and through every destructor.
    const auto on_terminate = loop.on_signal(SIGTERM, [&] { child->signal(SIGTERM); });
    const auto on_hang_up = loop.on_signal(SIGHUP, [&] { child->signal(SIGHUP); });
    const auto on_interrupt = loop.on_signal(SIGINT, [] {}); // A terminal tells the command too.

    Netlink netlink = Netlink::open();
    LinkWatch links = LinkWatch::open();
    std::optional<OwnedMacvtap> made;
    if (spec) {
        made.emplace(create_over_leftovers(netlink, *spec));
        grant_node(made->device(), *spec);
    }
    const MacvtapDevice device = made ? made->device() : find_macvtap(netlink, *options.device);
    child.emplace(start(options, device, queues, account ? &*account : nullptr, home.get()));
    const auto on_end = loop.on_readable(child->fd(), [&] { loop.quit(); });
    const auto on_link = watch(loop, links, netlink, device);
    loop.run();
    return child->wait();
}

} // namespace tapline
