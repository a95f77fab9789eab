// The node of a device in a /dev that all network namespaces share: ours is found, no other is
// opened or given away.
#include "backend/tap_queue.h"
#include "tests/fakes/front_end.h"
#include "tests/netns/frames.h"
#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::HasSubstr;

// A second network namespace. Its devices are made in it and go with it.
class Elsewhere {
public:
    Elsewhere() {
        unshare(CLONE_NEWNET);
        there_ = UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
        setns(home_.get(), CLONE_NEWNET);
    }

    void run_there(const std::string& command) const {
        setns(there_.get(), CLONE_NEWNET);
        run(command);
        setns(home_.get(), CLONE_NEWNET);
    }

private:
    UniqueFd home_{open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
    UniqueFd there_;
};

class TapNodes : public testing::Test {
protected:
    ~TapNodes() override { unlink(not_a_node_.c_str()); }

    // The index decides the name of the node, so it is one that no other test has.
    MacvtapDevice make_device() {
        run("ip link add link uplink name tap_test index " + std::to_string(index_) +
            " type macvtap && ip link set tap_test up");
        return find_macvtap(netlink_, "tap_test");
    }

    std::string node() const { return "/dev/tap" + std::to_string(index_); }

    // Where the node of the next device should be lies a file.
    void lay_a_file(const std::string& path) {
        not_a_node_ = path;
        std::ofstream(path) << "no node";
    }

    void expect_to_be_the_queue_of_the_device(const TapQueue& queue) {
        EXPECT_EQ(queue.device_name(), "tap_test");
        const Bytes frame = with_header(frame_to_wire(7), static_cast<size_t>(VnetHeader::v1));
        ASSERT_EQ(write(queue.fd(), frame.data(), frame.size()),
                  static_cast<ssize_t>(frame.size()));
        const auto received = station_.receive(fakes::deadline);
        ASSERT_TRUE(received);
        EXPECT_EQ(without_header(*received, Station::header_bytes), frame_to_wire(7));
    }

    const int index_ = 1'000'000 + getpid();
    std::string not_a_node_ = "/dev/none";
    Wire wire_;
    Station station_{"peer0"};
    Netlink netlink_ = Netlink::open();
};

TEST_F(TapNodes, AreOpenedWhereTheyAre) {
    const auto queues = open_queues(make_device(), 3);
    ASSERT_EQ(queues.size(), 3);
    for (const TapQueue& queue : queues) {
        expect_to_be_the_queue_of_the_device(queue);
    }
}

TEST_F(TapNodes, OfADeviceWithTheSameIndexElsewhereAreNotOpened) {
    const Elsewhere elsewhere;
    elsewhere.run_there("ip link add other type veth && ip link add link other index " +
                        std::to_string(index_) + " type macvtap");
    const auto queues = open_queues(make_device(), 1);
    expect_to_be_the_queue_of_the_device(queues.front());
}

TEST_F(TapNodes, ThatAreFilesAreNotOpened) {
    lay_a_file(node());
    const auto queues = open_queues(make_device(), 1);
    expect_to_be_the_queue_of_the_device(queues.front());
}

TEST_F(TapNodes, ThatAreLinksAreNotFollowed) {
    not_a_node_ = node();
    ASSERT_EQ(symlink("/dev/null", node().c_str()), 0);
    const auto queues = open_queues(make_device(), 1);
    expect_to_be_the_queue_of_the_device(queues.front());
}

// `tapline create` chooses no index: it gets the next one, which is lifted to one that no other
// test has.
class TapNodeOwners : public TapNodes {
protected:
    TapNodeOwners() {
        const int wanted = 50 + getpid() % 200;
        std::ofstream batch(batch_);
        for (int i = 0; i < wanted; ++i) {
            batch << "link add dev step" << i << " group 99 type veth\n";
        }
        batch.close();
        run("ip -batch " + batch_ + " && rm " + batch_);
        next_ = 1 + link("step" + std::to_string(wanted - 1)).at("ifindex").get<int>();
        run("ip link delete group 99");
    }

    std::string next_node() const { return "/dev/tap" + std::to_string(next_); }

    static Outcome create(const std::string& owner) {
        return outcome_of("backend/tapline", {"create", "--parent", "uplink", "--owner", owner});
    }

private:
    std::string batch_ = "/tmp/tapline-batch-" + std::to_string(getpid());
    int next_;
};

TEST_F(TapNodeOwners, AreSetAtCreation) {
    const Outcome created = create("nobody:daemon");
    ASSERT_EQ(created.status, 0) << created.errors;
    struct stat facts {};
    ASSERT_EQ(stat(next_node().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_uid, 65534);
    EXPECT_EQ(facts.st_gid, 1);
    EXPECT_TRUE(S_ISCHR(facts.st_mode));
}

TEST_F(TapNodeOwners, AreNotGivenWhatIsNotTheNode) {
    lay_a_file(next_node());
    const Outcome refused = create("nobody");
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr(next_node()));
    EXPECT_TRUE(link("tl0").is_null());
    struct stat facts {};
    ASSERT_EQ(stat(next_node().c_str(), &facts), 0);
    EXPECT_EQ(facts.st_uid, 0);
}

} // namespace
} // namespace tapline::netns
