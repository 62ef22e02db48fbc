// Packed weights lie in the pack files of users: this fails when their bytes change.
#include <sstream>

#include "kernels/include/air_formats.h"
#include "native/core/aligned_buffer.h"
#include "native/core/hash.h"
#include "native/core/weights/pack.h"
#include "test/native/check.h"
#include "test/native/support/random_tensor.h"

using air::TensorType;

namespace {

struct Golden {
  TensorType type;
  uint64_t quads;  // hash of the packed tensor
  uint64_t pairs;  // the same in the other layout; equal for float types
};

// To go with another layout: raise AIR_FORMAT_VERSION, then put in the hashes that the failing test prints.
constexpr int kVersion = 1;
constexpr Golden kGoldens[] = {
    {TensorType::kF32, 0xf14a0730392c7777, 0xf14a0730392c7777},
    {TensorType::kF16, 0xc257bef21a473609, 0xc257bef21a473609},
    {TensorType::kBf16, 0xf7665d92d4c84fb0, 0xf7665d92d4c84fb0},
    {TensorType::kQ8_0, 0xc53c7e55214d5187, 0x91b914f489555154},
    {TensorType::kQ4_0, 0x8ffb97870804a96e, 0xb723746458e5b3ad},
    {TensorType::kQ4_1, 0x57818053d8111467, 0x937b0c07396e4361},
    {TensorType::kQ5_0, 0xadb3b5f01dbb809e, 0xfbdb11df4541385c},
    {TensorType::kQ5_1, 0x4ddbc4a3271b4184, 0x223cae7bcc457406},
    {TensorType::kQ4K, 0x186695aba94f93f2, 0x429d8b4533596323},
    {TensorType::kQ5K, 0xf64599344a844bd6, 0x7c2e528168cc4636},
    {TensorType::kQ6K, 0xf6c35ba44154973a, 0xc8f6a6f390863f62},
};

uint64_t packed_hash(TensorType type, AirLayout layout) {
  constexpr int64_t kRows = 20;  // a whole tile and a part of one
  constexpr int64_t kCols = 512;
  const air_test::OwnedTensor tensor = air_test::random_tensor(type, kRows, kCols, 11);
  AirMatrix matrix{};
  int64_t bytes = 0;
  air::AlignedBuffer packed;
  air::ConversionError error;
  CHECK(air::plan_matrix(tensor.view, {}, layout, &matrix, &bytes).ok() && packed.allocate(bytes, "test").ok());
  CHECK(air::pack_tiles(tensor.view, {}, matrix, packed.data(), 0, 2, &error).ok());
  return air::hash_bytes(packed.data(), bytes, 0);
}

}  // namespace

TEST(packed_bytes_are_those_of_the_format_version) {
  CHECK_EQ(AIR_FORMAT_VERSION, kVersion);
  for (const Golden& golden : kGoldens) {
    const uint64_t quads = packed_hash(golden.type, AIR_LAYOUT_QUADS);
    const uint64_t pairs = packed_hash(golden.type, AIR_LAYOUT_PAIRS);
    std::ostringstream received;
    received << air::tensor_type_info(golden.type).name << std::hex << " 0x" << quads << " 0x" << pairs;
    CHECK_MSG(quads == golden.quads && pairs == golden.pairs, received.str());
  }
}
