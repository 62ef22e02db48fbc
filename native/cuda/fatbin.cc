#include <cstring>

#include "native/cuda/images.h"

namespace air::cuda {

namespace {

// The container that nvcc -fatbin writes: a header, then an entry per target. Only the fields that are read here are
// named; the rest is skipped by the lengths that the headers give.
struct FatHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t header_bytes;
  uint64_t content_bytes;  // after this header
};
struct EntryHeader {
  uint16_t kind;  // 1: PTX, 2: ELF
  uint16_t version;
  uint32_t header_bytes;
  uint64_t payload_bytes;
  uint32_t compressed_bytes;
  uint32_t options_offset;
  uint16_t minor;
  uint16_t major;
  uint32_t capability;  // 87
};
constexpr uint32_t kMagic = 0xba55ed50;
constexpr uint16_t kElf = 2;

}  // namespace

std::vector<int> fatbin_targets(const uint8_t* fatbin, int64_t bytes) {
  std::vector<int> targets;
  FatHeader header{};
  if (bytes < static_cast<int64_t>(sizeof(header))) return targets;
  std::memcpy(&header, fatbin, sizeof(header));
  if (header.magic != kMagic || header.header_bytes > bytes) return targets;
  int64_t at = header.header_bytes;
  const uint64_t room = static_cast<uint64_t>(bytes - at);
  const int64_t end = at + static_cast<int64_t>(header.content_bytes < room ? header.content_bytes : room);
  while (end - at >= static_cast<int64_t>(sizeof(EntryHeader))) {
    EntryHeader entry{};
    std::memcpy(&entry, fatbin + at, sizeof(entry));
    const auto left = static_cast<uint64_t>(end - at);
    if (entry.header_bytes < sizeof(entry) || entry.header_bytes > left ||
        entry.payload_bytes > left - entry.header_bytes)
      break;
    if (entry.kind == kElf) targets.push_back(static_cast<int>(entry.capability));
    at += static_cast<int64_t>(entry.header_bytes + entry.payload_bytes);
  }
  return targets;
}

}  // namespace air::cuda
