// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011), as in lib/util/rng.ts.
#ifndef AIR_CORE_PHILOX_H_
#define AIR_CORE_PHILOX_H_

#include <array>
#include <cstdint>

namespace air {

// The bijection of `counter` under `key`: four words that are random in every bit.
inline std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                          std::array<uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = static_cast<uint64_t>(counter[0]) * 0xd2511f53U;
    const uint64_t b = static_cast<uint64_t>(counter[2]) * 0xcd9e8d57U;
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9e3779b9U, key[1] + 0xbb67ae85U};
  }
  return counter;
}

}  // namespace air

#endif  // AIR_CORE_PHILOX_H_
