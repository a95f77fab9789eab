// One more interface of a domain: what libvirt is told of it, and what its host needs.
#pragma once

#include "hooks/interface_plan.h"
#include "xml/domain.h"

#include <string>
#include <vector>

namespace tapline::libvirt {

struct Attachment {
    MacAddress mac;
    std::string interface_xml; // <interface> for <devices>,
    std::string plugged_xml;   // and for those of a running guest, who boots from no new card.
    std::string metadata_xml;  // <interface> for our metadata.
    hooks::InterfacePlan plan;

    struct Request {
        xml::InterfaceKind kind;
        InterfaceText text; // With an address.
        bool trusts_mac = false;
        std::vector<std::string> pump_options;
    };
    // Throws Error for what no host can give.
    static Attachment of(const Request& request);
};

} // namespace tapline::libvirt
