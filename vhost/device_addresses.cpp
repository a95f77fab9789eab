#include "vhost/device_addresses.h"

#include <algorithm>
#include <cstring>

namespace tapline::vhost {
namespace {

constexpr size_t descriptor_bytes = 16;
constexpr size_t table_bytes_max = chain_parts_max * descriptor_bytes;

} // namespace

DeviceAddresses::DeviceAddresses(std::shared_ptr<const GuestMemory> memory, const Iotlb* iotlb)
    : memory_(std::move(memory)),
      iotlb_(iotlb),
      table_parts_(chain_parts_max),
      table_(table_bytes_max) {}

void DeviceAddresses::use(const Iotlb& iotlb, TranslationPort& misses) noexcept {
    iotlb_ = &iotlb;
    misses_ = &misses;
    last_ = {};
}

DeviceAddresses::Found DeviceAddresses::append(uint64_t address, uint32_t length, Access access,
                                               IovecList& list) noexcept {
    if (iotlb_ != nullptr) {
        return translate(address, length, access, list);
    }
    return memory_->append(address, length, list, last_) ? Found::all : Found::not_all;
}

// Reports every page that is missing, so that they are asked for together.
DeviceAddresses::Found DeviceAddresses::translate(uint64_t address, uint32_t length, Access access,
                                                  IovecList& list) noexcept {
    Found found = Found::all;
    while (length > 0) {
        const GuestMemory::Window window = iotlb_->find(address, access);
        const uint64_t here = window.size > 0 ? window.size - (address - window.address)
                                              : IotlbMiss::page - address % IotlbMiss::page;
        const auto part = static_cast<uint32_t>(std::min<uint64_t>(length, here));
        if (window.size == 0) {
            found = Found::not_yet;
            if (misses_ == nullptr || !misses_->report({.address = address, .access = access})) {
                return found;
            }
        } else if (!list.append(window.host + (address - window.address), part)) {
            return Found::not_all;
        }
        address += part;
        length -= part;
    }
    return found;
}

DeviceAddresses::Table DeviceAddresses::table(uint64_t address, uint32_t length) noexcept {
    if (const std::byte* bytes = iotlb_ != nullptr ? iotlb_->at(address, length, Access::read)
                                                   : memory_->at_guest_address(address, length)) {
        return {Found::all, bytes};
    }
    if (length > table_.size()) {
        return {Found::too_much, nullptr};
    }
    table_parts_.clear();
    if (const Found found = append(address, length, Access::read, table_parts_);
        found != Found::all) {
        return {found, nullptr};
    }
    std::byte* end = table_.data();
    for (const iovec& part : table_parts_.from(0)) {
        std::memcpy(end, part.iov_base, part.iov_len);
        end += part.iov_len;
    }
    return {Found::all, table_.data()};
}

} // namespace tapline::vhost
