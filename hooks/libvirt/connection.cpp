#include "hooks/libvirt/connection.h"

#include "backend/base/error.h"
#include "hooks/libvirt/pci_slot.h"

#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string_view>

namespace tapline::libvirt {
namespace {

// Of a QEMU that is asked something.
constexpr unsigned long long busy_limit_ms = 2'000;

using Text = std::unique_ptr<char, decltype(&std::free)>;

Text own(char* text) {
    return {text, std::free};
}

// Otherwise libvirt prints each error itself, on one more line.
void keep_libvirt_quiet() {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

// Devices are made here, with this process's rights: so must the guests be here, and root's.
void check_uri(const std::string& uri) {
    constexpr std::string_view ours[] = {"qemu:///system", "qemu+unix:///system"};
    const std::string where = uri.substr(0, uri.find('?'));
    if (std::ranges::find(ours, where) == std::end(ours)) {
        throw Error({.operation = fmt::format("connect to libvirt at '{}'", uri),
                     .cause = "its guests are not those of this host's qemu:///system",
                     .next_step = where.ends_with("/session")
                                      ? "for a guest of your own let root make a device with "
                                        "`tapline create --owner`, see docs/libvirt.md"
                                      : "use --connect qemu:///system",
                     .code = ENOTSUP});
    }
}

// libvirt has no code of its own for it, and names no remedy.
bool is_without_ports(const virError* error) {
    return error != nullptr && error->message != nullptr &&
           std::string_view(error->message).find("No more available PCI slots") !=
               std::string_view::npos;
}

} // namespace

void refuse(const std::string& operation, const std::string& next_step) {
    const virError* error = virGetLastError();
    throw Error({.operation = operation,
                 .cause = error != nullptr && error->message != nullptr ? error->message
                                                                        : "libvirt gives no cause",
                 .next_step = next_step});
}

const char* to_text(Description description) {
    switch (description) {
    case Description::live:
        return "the running guest";
    case Description::config:
        return "its next start";
    }
    return "";
}

std::string Domain::uuid() const {
    std::array<char, VIR_UUID_STRING_BUFLEN> text{};
    if (virDomainGetUUIDString(get(), text.data()) < 0) {
        refuse(fmt::format("ask for the UUID of domain '{}'", name()));
    }
    return text.data();
}

bool Domain::is_active() const {
    const int active = virDomainIsActive(get());
    if (active < 0) {
        refuse(fmt::format("ask whether domain '{}' runs", name()));
    }
    return active != 0;
}

bool Domain::is_persistent() const {
    const int persistent = virDomainIsPersistent(get());
    if (persistent < 0) {
        refuse(fmt::format("ask whether domain '{}' is persistent", name()));
    }
    return persistent != 0;
}

bool Domain::answers() const {
    virDomainControlInfo info{};
    if (virDomainGetControlInfo(get(), &info, 0) < 0) {
        refuse(fmt::format("ask whether QEMU of domain '{}' answers", name()));
    }
    return info.state == VIR_DOMAIN_CONTROL_OK ||
           (info.state != VIR_DOMAIN_CONTROL_ERROR && info.stateTime < busy_limit_ms);
}

// The least of what libvirt asks QEMU itself: it does not taint the domain.
void Domain::reach_qemu() const {
    virDomainIOThreadInfoPtr* threads = nullptr;
    const int count = virDomainGetIOThreadInfo(get(), &threads, VIR_DOMAIN_AFFECT_LIVE);
    if (count < 0) {
        refuse(fmt::format("ask QEMU of domain '{}'", name()));
    }
    const std::unique_ptr<virDomainIOThreadInfoPtr, decltype(&std::free)> owned(threads, std::free);
    for (virDomainIOThreadInfoPtr thread : std::span(threads, static_cast<size_t>(count))) {
        virDomainIOThreadInfoFree(thread);
    }
}

std::string Domain::xml(Description description) const {
    const unsigned flags = description == Description::config ? VIR_DOMAIN_XML_INACTIVE : 0;
    const Text text = own(virDomainGetXMLDesc(get(), flags));
    if (!text) {
        refuse(fmt::format("read the XML of domain '{}'", name()));
    }
    return text.get();
}

std::optional<std::string> Domain::metadata(Description description, const std::string& uri) const {
    const Text text = own(virDomainGetMetadata(get(), VIR_DOMAIN_METADATA_ELEMENT, uri.c_str(),
                                               static_cast<unsigned>(description)));
    if (text) {
        return text.get();
    }
    const virError* error = virGetLastError();
    if (error == nullptr || error->code != VIR_ERR_NO_DOMAIN_METADATA) {
        refuse(fmt::format("read our metadata of domain '{}'", name()));
    }
    return std::nullopt;
}

void Domain::set_metadata(Description description, const std::string& prefix,
                          const std::string& uri, const std::optional<std::string>& element) const {
    if (virDomainSetMetadata(get(), VIR_DOMAIN_METADATA_ELEMENT,
                             element ? element->c_str() : nullptr, prefix.c_str(), uri.c_str(),
                             static_cast<unsigned>(description)) < 0) {
        refuse(
            fmt::format("write our metadata of domain '{}' for {}", name(), to_text(description)));
    }
}

void Domain::attach(Description description, const std::string& device_xml) const {
    if (virDomainAttachDeviceFlags(get(), device_xml.c_str(), static_cast<unsigned>(description)) <
        0) {
        refuse(
            fmt::format("attach an interface to domain '{}' for {}", name(), to_text(description)),
            is_without_ports(virGetLastError()) ? make_pci_ports : "");
    }
}

void Domain::detach(Description description, const std::string& device_xml) const {
    if (virDomainDetachDeviceFlags(get(), device_xml.c_str(), static_cast<unsigned>(description)) <
        0) {
        refuse(fmt::format("detach an interface from domain '{}' for {}", name(),
                           to_text(description)));
    }
}

std::string Domain::ask_qemu(const std::string& command, int fd) const {
    char* answer = nullptr;
    const int status = virDomainQemuMonitorCommandWithFiles(
        get(), command.c_str(), fd < 0 ? 0 : 1, fd < 0 ? nullptr : &fd, nullptr, nullptr, &answer,
        VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT);
    const Text owned = own(answer);
    if (status < 0 || !owned) {
        refuse(fmt::format("talk to QEMU of domain '{}'", name()));
    }
    return owned.get();
}

Connection Connection::open(const std::optional<std::string>& uri) {
    keep_libvirt_quiet();
    if (uri) {
        check_uri(*uri);
    }
    Connection connection(virConnectOpen(uri ? uri->c_str() : nullptr));
    if (connection.get() == nullptr) {
        refuse("connect to libvirt", "see whether libvirtd or virtqemud runs");
    }
    const Text opened = own(virConnectGetURI(connection.get()));
    if (!opened) {
        refuse("ask libvirt where it is");
    }
    check_uri(opened.get());
    return connection;
}

Domain Connection::find(const std::string& name_or_uuid) const {
    if (const virDomainPtr named = virDomainLookupByName(get(), name_or_uuid.c_str())) {
        return Domain(named);
    }
    const virDomainPtr found = virDomainLookupByUUIDString(get(), name_or_uuid.c_str());
    if (found == nullptr) {
        throw Error({.operation = fmt::format("find domain '{}'", name_or_uuid),
                     .cause = "libvirt knows none of that name or UUID",
                     .next_step = "see `virsh list --all`"});
    }
    return Domain(found);
}

std::optional<Domain> Connection::find_by_uuid(const std::string& uuid) const {
    const virDomainPtr found = virDomainLookupByUUIDString(get(), uuid.c_str());
    if (found != nullptr) {
        return Domain(found);
    }
    const virError* error = virGetLastError();
    if (error == nullptr || error->code != VIR_ERR_NO_DOMAIN) {
        refuse(fmt::format("look for domain {}", uuid));
    }
    return std::nullopt;
}

bool Connection::is_running(const std::string& uuid) const {
    const auto found = find_by_uuid(uuid);
    return found && found->is_active();
}

std::vector<Domain> Connection::running() const {
    virDomainPtr* list = nullptr;
    const int count = virConnectListAllDomains(get(), &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (count < 0) {
        refuse("list the running domains");
    }
    const std::unique_ptr<virDomainPtr, decltype(&std::free)> owned(list, std::free);
    const std::span<virDomainPtr> found(list, static_cast<size_t>(count));
    return {found.begin(), found.end()};
}

} // namespace tapline::libvirt
