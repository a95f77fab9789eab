// What stands around tapline-helper: users, its access file, copies of the program with the rights
// it is installed with, and a process that asks it as QEMU does.
#pragma once

#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace tapline::netns {

// The process that made the socket pair. It does nothing more, and may be ended.
class AskingProcess {
public:
    AskingProcess();
    ~AskingProcess() { end(); }
    AskingProcess(const AskingProcess&) = delete;
    AskingProcess& operator=(const AskingProcess&) = delete;

    void end();
    UniqueFd& our_end() { return our_end_; }
    UniqueFd& helpers_end() { return helpers_end_; }

    // All that was sent to it until the helper's end was closed.
    struct Received {
        size_t bytes = 0;
        std::vector<UniqueFd> fds;
    };
    Received receive();

private:
    pid_t pid_ = -1;
    UniqueFd our_end_;
    UniqueFd helpers_end_;
};

class HelperLab : public testing::Test {
protected:
    static constexpr uid_t alice = 54321; // In the group `vm` as a second one.
    static constexpr uid_t bob = 54322;   // In no group but his own.

    HelperLab(); // Private /etc, with the users and an empty folder for the access file.

    static std::string access_file();
    static void write_access_file(const std::string& text);

    // A copy that anybody may run: with file capabilities, setuid root, or as it was built.
    static std::string with_capabilities();
    static std::string with_setuid();
    static std::string with_nothing();

    // Runs the program as that user, with --use-vnet and --fd for the asking process.
    Outcome ask(const std::vector<std::string>& options, uid_t user = alice,
                const std::string& program = with_capabilities());
    // Without adding options.
    static Outcome run_as(uid_t user, const std::string& program,
                          const std::vector<std::string>& arguments, int fd);

    // All network namespaces share /dev. Where another one has a device of the same index, the
    // helper is right to refuse; the next device has another index.
    static Outcome with_a_free_node(const std::function<Outcome()>& attempt);

    Wire wire_;
    AskingProcess asking_;
};

// The processes of the program that still run in this network namespace.
std::vector<pid_t> watchers();

} // namespace tapline::netns
