// Random tensors in GGUF's formats, and an independent reading of them: one element at a time, in double
// precision, straight from the bytes, sharing nothing with native/core.
#ifndef AIR_TEST_NATIVE_SUPPORT_RANDOM_TENSOR_H_
#define AIR_TEST_NATIVE_SUPPORT_RANDOM_TENSOR_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "native/core/weights/tensor.h"

namespace air_test {

using air::Tensor;
using air::TensorType;

constexpr TensorType kAllTypes[] = {TensorType::kF32,  TensorType::kF16,  TensorType::kBf16,
                                    TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1,
                                    TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ4K,
                                    TensorType::kQ5K,  TensorType::kQ6K};

// Where each block keeps its float16 fields; empty for float types.
inline std::vector<int> half_offsets(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
    case TensorType::kQ8_0:
      return {0};
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4K:
    case TensorType::kQ5K:
      return {0, 2};
    case TensorType::kQ6K:
      return {208};
    default:
      return {};
  }
}

// The bytes of a tensor, at an odd address: files promise no alignment.
struct OwnedTensor {
  std::vector<uint8_t> storage;
  Tensor view;

  uint8_t* bytes() { return storage.data() + 1; }
  uint8_t* block(int64_t row, int64_t index) {
    const air::TensorTypeInfo& info = air::tensor_type_info(view.type);
    return bytes() + (row * (view.cols() / info.block_values) + index) * info.block_bytes;
  }
};

// Finite halves below 512 (a product with a 7-bit scale stays in float16), subnormals and zeros included.
inline uint16_t random_scale(std::mt19937& random) {
  const auto bits = static_cast<uint32_t>(random());
  const uint32_t exponent = bits % 24;
  return static_cast<uint16_t>((bits >> 16 & 0x83ff) | exponent << 10);
}

inline OwnedTensor random_tensor(TensorType type, int64_t rows, int64_t cols, uint32_t seed) {
  const air::TensorTypeInfo& info = air::tensor_type_info(type);
  const int64_t blocks = rows * (cols / info.block_values);
  std::mt19937 random(seed);
  OwnedTensor tensor;
  tensor.storage.resize(static_cast<size_t>(blocks * info.block_bytes + 1));
  for (uint8_t& byte : tensor.storage) byte = static_cast<uint8_t>(random());
  tensor.view.role = "blk.3.ffn_up.weight";
  tensor.view.type = type;
  tensor.view.shape = {rows, cols};
  tensor.view.data = tensor.bytes();
  tensor.view.length_bytes = blocks * info.block_bytes;
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t* block = tensor.bytes() + b * info.block_bytes;
    for (const int offset : half_offsets(type)) {
      const uint16_t scale = random_scale(random);
      std::memcpy(block + offset, &scale, sizeof(scale));
    }
    // Floats: exponents of weights, from 2^-27 (below half of float16's smallest subnormal) to 2^4.
    const auto bits = static_cast<uint32_t>(random());
    const uint32_t word = (bits & 0x807fffff) | (100 + bits % 32) << 23;
    const uint16_t scale = random_scale(random);
    if (type == TensorType::kF32) std::memcpy(block, &word, 4);
    if (type == TensorType::kBf16) std::memcpy(block, reinterpret_cast<const uint8_t*>(&word) + 2, 2);
    if (type == TensorType::kF16) std::memcpy(block, &scale, 2);
  }
  return tensor;
}

// w = scale * q + min. Float types: q = 1, min = 0.
struct ExactWeight {
  double scale;
  int q;
  double min;
  double value() const { return scale * q + min; }
};

inline double exact_half_at(const uint8_t* bytes) {
  const int half = bytes[0] | bytes[1] << 8;
  const int exponent = half >> 10 & 0x1f;
  const double magnitude =
      exponent == 0 ? std::ldexp(half & 0x3ff, -24) : std::ldexp(1024 + (half & 0x3ff), exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

inline int bit_at(const uint8_t* bytes, int index) { return bytes[index / 8] >> index % 8 & 1; }

// Element e of a block of 32 with nibbles at `nibbles`.
inline int nibble_at(const uint8_t* nibbles, int e) { return nibbles[e % 16] >> (e < 16 ? 0 : 4) & 15; }

// The six-bit scale (or, from 8 on, min) `index` of a K block's 12 bytes.
inline int six_bits_at(const uint8_t* packed, int index) {
  const bool is_min = index >= 8;
  const int j = index % 8;
  if (j < 4) return packed[j + (is_min ? 4 : 0)] & 63;
  const int low = packed[j + 4] >> (is_min ? 4 : 0) & 15;
  const int high = packed[j - 4 + (is_min ? 4 : 0)] >> 6;
  return high * 16 + low;
}

// Element e of Q4_K's or Q5_K's 128 bytes of nibbles.
inline int k_nibble_at(const uint8_t* nibbles, int e) {
  return nibbles[e / 64 * 32 + e % 32] >> (e / 32 % 2 == 0 ? 0 : 4) & 15;
}

inline ExactWeight exact_weight(TensorType type, const uint8_t* b, int e) {
  switch (type) {
    case TensorType::kF32: {
      float value;
      std::memcpy(&value, b, 4);
      return {value, 1, 0};
    }
    case TensorType::kF16:
      return {exact_half_at(b), 1, 0};
    case TensorType::kBf16: {
      const double mantissa = (b[0] & 127) + 128;
      const int exponent = (b[0] >> 7 | (b[1] & 127) << 1) - 134;
      return {std::ldexp(b[1] & 128 ? -mantissa : mantissa, exponent), 1, 0};
    }
    case TensorType::kQ8_0:
      return {exact_half_at(b), static_cast<int8_t>(b[2 + e]), 0};
    case TensorType::kQ4_0:
      return {exact_half_at(b), nibble_at(b + 2, e) - 8, 0};
    case TensorType::kQ4_1:
      return {exact_half_at(b), nibble_at(b + 4, e), exact_half_at(b + 2)};
    case TensorType::kQ5_0:
      return {exact_half_at(b), nibble_at(b + 6, e) + 16 * bit_at(b + 2, e) - 16, 0};
    case TensorType::kQ5_1:
      return {exact_half_at(b), nibble_at(b + 8, e) + 16 * bit_at(b + 4, e), exact_half_at(b + 2)};
    case TensorType::kQ4K:
    case TensorType::kQ5K: {
      const int group = e / 32;
      const double scale = exact_half_at(b) * six_bits_at(b + 4, group);
      const double min = -exact_half_at(b + 2) * six_bits_at(b + 4, 8 + group);
      if (type == TensorType::kQ4K) return {scale, k_nibble_at(b + 16, e), min};
      return {scale, k_nibble_at(b + 48, e) + 16 * (b[16 + e % 32] >> group & 1), min};
    }
    case TensorType::kQ6K: {
      const int within = e % 128;
      const int low = b[e / 128 * 64 + within % 64] >> (within < 64 ? 0 : 4) & 15;
      const int high = b[128 + e / 128 * 32 + e % 32] >> (within / 32 * 2) & 3;
      return {exact_half_at(b + 208) * static_cast<int8_t>(b[192 + e / 16]), low + 16 * high - 32, 0};
    }
  }
  return {NAN, 0, 0};
}

inline ExactWeight exact_weight(const Tensor& tensor, int64_t row, int64_t col) {
  const air::TensorTypeInfo& info = air::tensor_type_info(tensor.type);
  const int64_t block = row * (tensor.cols() / info.block_values) + col / info.block_values;
  return exact_weight(tensor.type, tensor.data + block * info.block_bytes,
                      static_cast<int>(col % info.block_values));
}

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_SUPPORT_RANDOM_TENSOR_H_
