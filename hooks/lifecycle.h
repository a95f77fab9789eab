// What libvirt's life of a domain asks of its host. Each may come twice and in any order: it ends
// the same.
#pragma once

#include "backend/netlink.h"
#include "hooks/domain_record.h"
#include "xml/domain.h"

#include <string>
#include <vector>

namespace tapline::hooks {

// Before the domain starts: all that its interfaces need is there, or nothing of it, and Error is
// thrown with what libvirt shows.
void prepare(const xml::Domain& domain);
// For a domain that runs: what is missing is made, and a dead pump started. Tells in the log what
// cannot be helped, as libvirt would end the domain for a failure.
void reconnect(const xml::Domain& domain);
// After its end: removes what its record says.
void release(const std::string& uuid);

// Each is dropped from the record once it is gone. Goes on where something fails, and throws the
// first Error then. A list of its own, as the record's gets shorter meanwhile.
void remove_all(Netlink& netlink, DomainRecord& record, std::vector<MadeInterface> interfaces);

} // namespace tapline::hooks
