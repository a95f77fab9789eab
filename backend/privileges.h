// The rights of a program that users run with more rights than they have: file capabilities or
// setuid root. All of it is per thread, so it comes before the first thread.
#pragma once

namespace tapline {

// From here on the process belongs to the user who runs it, and can get no new rights. Of those it
// has it keeps CAP_NET_ADMIN and CAP_DAC_OVERRIDE, without effect outside of a CapabilityScope.
void drop_privileges();

enum class Capabilities { without_effect, in_effect };

// Holds until its end, which brings back what was before.
class CapabilityScope {
public:
    // Throws Error where the program was not given the capabilities that are to be in effect.
    explicit CapabilityScope(Capabilities capabilities);
    ~CapabilityScope();
    CapabilityScope(const CapabilityScope&) = delete;
    CapabilityScope& operator=(const CapabilityScope&) = delete;

private:
    Capabilities before_;
};

} // namespace tapline
