#include "native/core/hash.h"

#include <vector>

#include "test/native/check.h"

using air::hash_bytes;

namespace {

std::vector<uint8_t> counting(int64_t bytes) {
  std::vector<uint8_t> data(static_cast<size_t>(bytes));
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(7 * i + 3);
  return data;
}

uint64_t hash(const std::vector<uint8_t>& data, uint64_t seed = 0) {
  return hash_bytes(data.data(), static_cast<int64_t>(data.size()), seed);
}

}  // namespace

TEST(every_flipped_bit_changes_the_hash) {
  for (const int64_t bytes : {1, 8, 63, 64, 65, 200}) {
    std::vector<uint8_t> data = counting(bytes);
    const uint64_t before = hash(data);
    for (int64_t bit = 0; bit < bytes * 8; ++bit) {
      uint8_t& byte = data[static_cast<size_t>(bit / 8)];
      byte = static_cast<uint8_t>(byte ^ 1 << bit % 8);
      CHECK_MSG(hash(data) != before, std::to_string(bytes) + " bytes, bit " + std::to_string(bit));
      byte = static_cast<uint8_t>(byte ^ 1 << bit % 8);
    }
  }
}

// The highest bit of a word survives only multiplications that spread it.
TEST(two_flipped_bits_of_one_lane_do_not_cancel) {
  std::vector<uint8_t> data = counting(4 * 64);
  const uint64_t before = hash(data);
  for (int bit = 0; bit < 64; ++bit) {
    std::vector<uint8_t> changed = data;
    for (const int64_t block : {1, 2}) {
      uint8_t& byte = changed[static_cast<size_t>(block * 64 + bit / 8)];
      byte = static_cast<uint8_t>(byte ^ 1 << bit % 8);
    }
    CHECK_MSG(hash(changed) != before, "bit " + std::to_string(bit));
  }
}

TEST(length_and_seed_count_and_swapped_blocks_do_too) {
  std::vector<uint8_t> data = counting(128);
  const uint64_t before = hash(data);
  CHECK(hash(data, 1) != before);
  std::vector<uint8_t> swapped(data.begin() + 64, data.end());
  swapped.insert(swapped.end(), data.begin(), data.begin() + 64);
  CHECK(hash(swapped) != before);
  const std::vector<uint8_t> nothing;
  CHECK(hash(nothing) != hash({0}));
  CHECK(hash({0}) != hash({0, 0}));
}

// Hashes lie in files: a different function needs a different magic in pack_file.cc.
TEST(the_function_stays_as_it_is) {
  CHECK_EQ(hash({}), uint64_t{13299828257897367495U});
  CHECK_EQ(hash(counting(200)), uint64_t{4326828572478637600U});
  CHECK_EQ(hash(counting(200), 5), uint64_t{15399473360111858535U});
}
