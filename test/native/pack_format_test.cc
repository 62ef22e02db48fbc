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
  uint64_t hash;  // of the packed tensor
};

// To go with another layout: raise AIR_FORMAT_VERSION, then put in the hashes that the failing test prints.
constexpr int kVersion = 1;
constexpr Golden kGoldens[] = {
    {TensorType::kF32, 0xf14a0730392c7777},  {TensorType::kF16, 0xc257bef21a473609},
    {TensorType::kBf16, 0xf7665d92d4c84fb0}, {TensorType::kQ8_0, 0xc53c7e55214d5187},
    {TensorType::kQ4_0, 0x8ffb97870804a96e}, {TensorType::kQ4_1, 0x57818053d8111467},
    {TensorType::kQ5_0, 0xadb3b5f01dbb809e}, {TensorType::kQ5_1, 0x4ddbc4a3271b4184},
    {TensorType::kQ4K, 0x186695aba94f93f2},  {TensorType::kQ5K, 0xf64599344a844bd6},
    {TensorType::kQ6K, 0xf6c35ba44154973a},
};

uint64_t packed_hash(TensorType type) {
  constexpr int64_t kRows = 20;  // a whole tile and a part of one
  constexpr int64_t kCols = 512;
  const air_test::OwnedTensor tensor = air_test::random_tensor(type, kRows, kCols, 11);
  AirMatrix matrix{};
  int64_t bytes = 0;
  air::AlignedBuffer packed;
  air::ConversionError error;
  CHECK(air::plan_matrix(tensor.view, &matrix, &bytes).ok() && packed.allocate(bytes, "test").ok());
  CHECK(air::pack_tiles(tensor.view, matrix, packed.data(), 0, 2, &error).ok());
  return air::hash_bytes(packed.data(), bytes, 0);
}

}  // namespace

TEST(packed_bytes_are_those_of_the_format_version) {
  CHECK_EQ(AIR_FORMAT_VERSION, kVersion);
  for (const Golden& golden : kGoldens) {
    std::ostringstream received;
    received << air::tensor_type_info(golden.type).name << " 0x" << std::hex << packed_hash(golden.type);
    CHECK_MSG(packed_hash(golden.type) == golden.hash, received.str());
  }
}
