#include "native/core/hash.h"

#include <cstring>

namespace air {

namespace {

constexpr int kLanes = 8;  // as many multiplications in flight as hide their latency
constexpr int64_t kBlockBytes = kLanes * 8;
constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio: odd, with well-spread bits

// One-to-one in `state` and in `word`, so that a difference in either is never lost. The rotation brings high
// bits, which a product only moves up, back down.
inline uint64_t mix(uint64_t state, uint64_t word) noexcept {
  const uint64_t product = (state ^ word) * kMultiplier;
  return product << 29 | product >> 35;
}

inline void mix_block(const uint8_t* block, uint64_t* lanes) noexcept {
  uint64_t words[kLanes];
  std::memcpy(words, block, kBlockBytes);
  for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = mix(lanes[lane], words[lane]);
}

}  // namespace

uint64_t hash_bytes(const void* data, int64_t bytes, uint64_t seed) noexcept {
  const auto* next = static_cast<const uint8_t*>(data);
  uint64_t lanes[kLanes];
  for (uint64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = seed + lane * kMultiplier;
  int64_t left = bytes;
  for (; left >= kBlockBytes; left -= kBlockBytes, next += kBlockBytes) mix_block(next, lanes);
  if (left > 0) {
    uint8_t padded[kBlockBytes] = {};
    std::memcpy(padded, next, static_cast<size_t>(left));
    mix_block(padded, lanes);
  }
  uint64_t state = mix(seed, static_cast<uint64_t>(bytes));
  for (const uint64_t lane : lanes) state = mix(state, lane);
  return mix(state ^ state >> 32, kMultiplier);
}

}  // namespace air
