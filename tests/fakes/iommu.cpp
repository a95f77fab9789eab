#include "tests/fakes/iommu.h"

#include "tests/fakes/socket_pair.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

namespace tapline::fakes {

Iommu::Iommu(int front_end, const GuestRam& ram) : front_end_(front_end), ram_(ram) {
    SocketPair sockets(SOCK_STREAM);
    our_end_ = std::move(sockets.ours);
    device_end_ = std::move(sockets.theirs);
    thread_ = std::thread([this] { serve(); });
}

void Iommu::hang_up() {
    shutdown(our_end_.get(), SHUT_RDWR);
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Iommu::answer(bool wanted) {
    const std::lock_guard held(lock_);
    answers_ = wanted;
}

Iommu::~Iommu() {
    hang_up();
}

vhost::IotlbMessage Iommu::update(const GuestRam& ram, uint64_t address, uint64_t size,
                                  vhost::Access access) {
    return {.address = address,
            .size = size,
            .user_address = ram.user_address(address),
            .access = access,
            .kind = vhost::IotlbKind::update};
}

vhost::IotlbMessage Iommu::invalidation(uint64_t address, uint64_t size) {
    return {.address = address,
            .size = size,
            .user_address = 0,
            .access = {},
            .kind = vhost::IotlbKind::invalidate};
}

void Iommu::serve() {
    struct Request {
        vhost::Header header;
        std::array<std::byte, sizeof(vhost::IotlbMessage)> payload;
    } request{};
    while (recv(our_end_.get(), &request, sizeof request, MSG_WAITALL) ==
           static_cast<ssize_t>(sizeof request)) {
        ++misses_;
        vhost::IotlbMessage miss{};
        std::memcpy(&miss, request.payload.data(), sizeof miss);
        const std::lock_guard held(lock_);
        if (!answers_ || miss.kind != vhost::IotlbKind::miss) {
            continue;
        }
        const auto answer = update(ram_, miss.address / page * page, page);
        request.header.request = static_cast<uint32_t>(vhost::Request::iotlb_msg);
        std::memcpy(request.payload.data(), &answer, sizeof answer);
        send(front_end_, &request, sizeof request, MSG_NOSIGNAL);
    }
}

} // namespace tapline::fakes
