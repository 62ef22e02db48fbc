// residual[row] = table[tokens[row]]: a row of the model file's token embedding, dequantised to float32 with the
// roundings of native/core/weights/dequantize.cc.
//
//   table     [vocabulary] rows of blocks as native/core/weights/block_formats.h draws them, at any alignment
//   residual  float32 [rows, cols]
//   launch    (rows) blocks of 256 threads; a thread has every 256th element
#include "kernels/cuda/device.h"
#include "kernels/cuda/step_params.h"

namespace air::cuda {
namespace {

// Added where a format has no mins, as the host does: a product of -0 becomes +0.
constexpr float kNoMin = 0.0f;

AIR_DEVICE uint16_t load_half(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] | bytes[1] << 8);
}
AIR_DEVICE float half_at(const uint8_t* bytes) { return half_to_float(load_half(bytes)); }

// 32 nibbles in 16 bytes: low ones first.
AIR_DEVICE int32_t nibble_of_32(const uint8_t* quants, int32_t e) {
  return e < 16 ? quants[e] & 15 : quants[e - 16] >> 4;
}
AIR_DEVICE int32_t fifth_bit(const uint8_t* bits, int32_t e) { return (bits[e / 8] >> (e % 8) & 1) << 4; }
// scale * S[g] * q - min * M[g]: the 6-bit numbers of a Q4_K or Q5_K block.
AIR_DEVICE float k_weight(const uint8_t* block, int32_t group, int32_t q) {
  const uint8_t* packed = block + 4;
  const int32_t j = group % 4;
  const int32_t scale = group < 4 ? packed[j] & 63 : (packed[j + 8] & 15) | (packed[j] >> 6) << 4;
  const int32_t min = group < 4 ? packed[j + 4] & 63 : packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4;
  return half_at(block) * static_cast<float>(scale) * static_cast<float>(q) +
         -half_at(block + 2) * static_cast<float>(min);
}
AIR_DEVICE float q6_weight(const uint8_t* block, int32_t e) {
  const int32_t half = e / 128;
  const int32_t quarter = e / 32 % 4;
  const int32_t i = e % 32;
  const int32_t low = block[64 * half + 32 * (quarter % 2) + i] >> (quarter < 2 ? 0 : 4) & 15;
  const int32_t high = block[128 + 32 * half + i] >> (2 * quarter) & 3;
  const auto group_scale = static_cast<int8_t>(block[192 + e / 16]);
  return half_at(block + 208) * static_cast<float>(group_scale) * static_cast<float>((low | high << 4) - 32) +
         kNoMin;
}

AIR_DEVICE float element(const uint8_t* row, EmbeddingType type, int32_t k) {
  const int32_t e = k % 32;
  const int32_t b = k / 32;
  const int32_t e256 = k % 256;
  const int32_t b256 = k / 256;
  switch (type) {
    case EmbeddingType::kF32:
      return bits_float(load_half(row + 4 * k) | static_cast<uint32_t>(load_half(row + 4 * k + 2)) << 16);
    case EmbeddingType::kF16:
      return half_at(row + 2 * k);
    case EmbeddingType::kBf16:
      return bits_float(static_cast<uint32_t>(load_half(row + 2 * k)) << 16);
    case EmbeddingType::kQ8_0:
      return half_at(row + 34 * b) * static_cast<float>(static_cast<int8_t>(row[34 * b + 2 + e])) + kNoMin;
    case EmbeddingType::kQ4_0:
      return half_at(row + 18 * b) * static_cast<float>(nibble_of_32(row + 18 * b + 2, e) - 8) + kNoMin;
    case EmbeddingType::kQ4_1:
      return half_at(row + 20 * b) * static_cast<float>(nibble_of_32(row + 20 * b + 4, e)) +
             half_at(row + 20 * b + 2);
    case EmbeddingType::kQ5_0:
      return half_at(row + 22 * b) *
                 static_cast<float>((nibble_of_32(row + 22 * b + 6, e) | fifth_bit(row + 22 * b + 2, e)) -
                                    16) +
             kNoMin;
    case EmbeddingType::kQ5_1:
      return half_at(row + 24 * b) *
                 static_cast<float>(nibble_of_32(row + 24 * b + 8, e) | fifth_bit(row + 24 * b + 4, e)) +
             half_at(row + 24 * b + 2);
    case EmbeddingType::kQ4K: {
      const uint8_t* block = row + 144 * b256;
      const uint8_t byte = block[16 + e256 / 64 * 32 + e];
      return k_weight(block, e256 / 32, e256 / 32 % 2 == 0 ? byte & 15 : byte >> 4);
    }
    case EmbeddingType::kQ5K: {
      const uint8_t* block = row + 176 * b256;
      const uint8_t byte = block[48 + e256 / 64 * 32 + e];
      const int32_t low = e256 / 32 % 2 == 0 ? byte & 15 : byte >> 4;
      return k_weight(block, e256 / 32, low | (block[16 + e] >> (e256 / 32) & 1) << 4);
    }
    case EmbeddingType::kQ6K:
      return q6_weight(row + 210 * b256, e256);
  }
  return 0.0f;
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(256) air_step_embed(air::cuda::EmbedParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int32_t>(block_x());
  if (row >= *p.row_count) return;
  const uint8_t* from = p.table + p.tokens[row] * p.row_bytes;
  float* to = p.residual + static_cast<int64_t>(row) * p.cols;
  for (auto k = static_cast<int32_t>(thread_id()); k < p.cols; k += 256) to[k] = element(from, p.type, k);
}
