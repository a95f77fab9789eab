// A vhost-user front end on its own end of a socket, written from the protocol's specification.
#pragma once

#include "backend/base/unique_fd.h"
#include "tests/fakes/driver_ring.h"
#include "tests/fakes/guest_ram.h"
#include "vhost/protocol.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapline::fakes {

// No condition of a test takes longer, even on a loaded machine under a sanitizer.
constexpr std::chrono::seconds deadline{20};

bool wait_readable(int fd, std::chrono::milliseconds limit = deadline);

class FrontEnd {
public:
    explicit FrontEnd(UniqueFd socket) : socket_(std::move(socket)) {}
    static FrontEnd connect(const std::string& path); // Waits for the socket to be there.

    int fd() const { return socket_.get(); }
    void close() { socket_.reset(); }

    struct Options {
        uint32_t flags = vhost::version;
        std::vector<int> fds = {};
        std::optional<uint32_t> announced_size = {}; // Where it shall lie about the payload.
    };
    void send(uint32_t request, std::span<const std::byte> payload, const Options& options);
    template <typename T>
    void send(vhost::Request request, const T& payload, std::vector<int> fds = {}) {
        send(static_cast<uint32_t>(request), std::as_bytes(std::span(&payload, 1)),
             {.fds = std::move(fds)});
    }
    void send(vhost::Request request) { send(static_cast<uint32_t>(request), {}, {}); }
    void send_raw(std::span<const std::byte> bytes);

    // The payload of the next answer; throws where none comes in time or the peer has closed.
    // A descriptor that comes with it goes to fd.
    std::vector<std::byte> receive(UniqueFd* fd = nullptr);
    template <typename T> T receive_as() {
        const std::vector<std::byte> bytes = receive();
        T value{};
        std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
        return value;
    }
    uint64_t ask(vhost::Request request) {
        send(request);
        return receive_as<uint64_t>();
    }
    // Sends with need_reply and returns the acknowledgement: 0 is success.
    template <typename T>
    uint64_t acknowledged(vhost::Request request, const T& payload, std::vector<int> fds = {}) {
        send(static_cast<uint32_t>(request), std::as_bytes(std::span(&payload, 1)),
             {.flags = vhost::version | vhost::flag_need_reply, .fds = std::move(fds)});
        return receive_as<uint64_t>();
    }
    // Whether the back end closes the connection within the deadline.
    bool is_closed();

    // Behind an IOMMU the rings are told of by I/O virtual addresses.
    enum class Addresses { physical, io_virtual };
    void share(const GuestRam& ram, Addresses addresses = Addresses::physical);
    // One region more or less, with need_reply: whether the back end agrees.
    bool add(const vhost::MemoryRegion& region, int fd);
    bool remove(const vhost::MemoryRegion& region);
    struct RingEvents {
        UniqueFd kick;
        UniqueFd call;
        UniqueFd error;
    };
    enum class Events { descriptors, kicks_first, polling };
    // All the messages that start one ring; with polling there are no events.
    RingEvents start_ring(uint32_t index, const DriverRing& ring, uint32_t base = 0,
                          Events kind = Events::descriptors);
    void enable_ring(uint32_t index, bool enabled);
    uint32_t stop_ring(uint32_t index); // Returns the base.

private:
    UniqueFd socket_;
    const GuestRam* translated_ = nullptr; // Shared behind an IOMMU.
};

// Where front ends wait for the back end to connect, as QEMU does with server=on.
class FrontEndListener {
public:
    explicit FrontEndListener(std::string path);
    ~FrontEndListener();
    FrontEndListener(const FrontEndListener&) = delete;
    FrontEndListener& operator=(const FrontEndListener&) = delete;

    FrontEnd accept(); // Throws where no back end comes within the deadline.

private:
    std::string path_;
    UniqueFd socket_;
};

UniqueFd make_eventfd();

} // namespace tapline::fakes
