// A 64-bit checksum at the speed of memory: against damage, not against an adversary.
#ifndef AIR_CORE_HASH_H_
#define AIR_CORE_HASH_H_

#include <cstdint>

namespace air {

// Any change within one 8-byte word changes the result; other changes go unseen with a chance of about 2^-64.
uint64_t hash_bytes(const void* data, int64_t bytes, uint64_t seed) noexcept;

}  // namespace air

#endif  // AIR_CORE_HASH_H_
