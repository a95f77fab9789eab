#include "backend/base/error.h"
#include "backend/base/number.h"
#include "hooks/libvirt/attach.h"
#include "hooks/libvirt/events.h"
#include "hooks/libvirt/verbs.h"

namespace tapline::libvirt {
namespace {

constexpr auto wait_default_s = "20";
constexpr unsigned wait_max_s = 3600;

} // namespace

int detach_verb(const Arguments& arguments) {
    std::optional<std::string> uri;
    std::optional<std::string> wait;
    bool live = false;
    bool config = false;
    CommandLine command_line("DOMAIN MAC", "Take a network card of Tapline's from a domain.");
    command_line.flag("live", "From the running guest (default where it runs)", live);
    command_line.flag("config", "From its next start on (default where it does not run)", config);
    command_line.value("wait", "SECONDS", "How long the guest may keep it (default: 20)", wait);
    add_connect_option(command_line, uri);
    const Arguments names = command_line.parse(arguments);
    if (names.size() != 2) {
        throw UsageError("detach needs DOMAIN and MAC");
    }
    const MacAddress mac = MacAddress::parse(names[1]);
    const std::chrono::seconds limit(
        parse_number<unsigned>("seconds to wait", wait.value_or(wait_default_s), 1, wait_max_s));

    use_main_loop();
    const Connection connection = Connection::open(uri);
    const Domain domain = connection.find(names[0]);
    detach(connection, domain, mac, Affected::choose(domain, live, config), limit);
    return 0;
}

} // namespace tapline::libvirt
