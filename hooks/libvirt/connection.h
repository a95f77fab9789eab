// A connection to the libvirt that runs this host's guests, and its domains.
#pragma once

#include <libvirt/libvirt.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tapline::libvirt {

// What libvirt said last in this thread, as an Error.
[[noreturn]] void refuse(const std::string& operation, const std::string& next_step = {});

// Which of a domain's two descriptions: the running guest's, or that of its next start.
enum class Description : unsigned {
    live = VIR_DOMAIN_AFFECT_LIVE,
    config = VIR_DOMAIN_AFFECT_CONFIG,
};
const char* to_text(Description description);

// Calls throw Error, with libvirt's words.
class Domain {
public:
    explicit Domain(virDomainPtr owned)
        : domain_(owned, virDomainFree), name_(virDomainGetName(owned)) {}

    virDomainPtr get() const { return domain_.get(); }
    const std::string& name() const { return name_; }
    std::string uuid() const;
    bool is_active() const;
    bool is_persistent() const;
    // Whether QEMU is there to be asked, or has not been for a moment only.
    bool answers() const;
    std::string xml(Description description) const;

    // Asks it something, and so waits for one that hangs, as all that changes it would.
    void reach_qemu() const;

    // The element of a namespace; nothing where there is none.
    std::optional<std::string> metadata(Description description, const std::string& uri) const;
    // Nothing: removes it.
    void set_metadata(Description description, const std::string& prefix, const std::string& uri,
                      const std::optional<std::string>& element) const;

    void attach(Description description, const std::string& device_xml) const;
    void detach(Description description, const std::string& device_xml) const;

    // What QEMU answers to a QMP command. fd, where it is not negative, goes with the command.
    std::string ask_qemu(const std::string& command, int fd = -1) const;

private:
    std::unique_ptr<virDomain, decltype(&virDomainFree)> domain_;
    std::string name_; // To ask libvirt for it would make it forget its last error.
};

class Connection {
public:
    // Absent: libvirt's default. Throws Error; with ENOTSUP for one whose guests are not this
    // host's, or not QEMU's, or an unprivileged user's: that will not change.
    static Connection open(const std::optional<std::string>& uri);

    virConnectPtr get() const { return connection_.get(); }
    Domain find(const std::string& name_or_uuid) const;
    std::optional<Domain> find_by_uuid(const std::string& uuid) const; // Not by a name like it.
    bool is_running(const std::string& uuid) const;
    std::vector<Domain> running() const;

private:
    explicit Connection(virConnectPtr owned) : connection_(owned, virConnectClose) {}

    std::unique_ptr<virConnect, decltype(&virConnectClose)> connection_;
};

} // namespace tapline::libvirt
