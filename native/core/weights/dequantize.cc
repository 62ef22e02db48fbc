// File rows to float32, without packing.
#include <cstring>

#include "native/core/half.h"
#include "native/core/weights/block_decode.h"
#include "native/core/weights/pack.h"

namespace air {
namespace {

struct FileRow {
  const uint8_t* bytes;
  int64_t blocks;
};

FileRow file_row(const Tensor& tensor, int64_t row) {
  const TensorTypeInfo& info = tensor_type_info(tensor.type);
  const int64_t blocks = tensor.cols() / info.block_values;
  return {tensor.data + row * blocks * info.block_bytes, blocks};
}

// values: `count` of T at any alignment
template <typename T>
T load_value(const uint8_t* values, int64_t index) {
  T value;
  std::memcpy(&value, values + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

void dequantize_blocks(TensorType type, const FileRow& row, float* out) {
  const TensorTypeInfo& info = tensor_type_info(type);
  DecodedGroup groups[kMaxBlockGroups];
  for (int64_t b = 0; b < row.blocks; ++b) {
    decode_block(type, row.bytes + b * info.block_bytes, groups);
    for (int64_t g = 0; g < info.block_values / AIR_GROUP; ++g) {
      const DecodedGroup& group = groups[g];
      for (int k = 0; k < AIR_GROUP; ++k) {
        *out++ = group.scales[k / 16] * static_cast<float>(group.q[k]) + group.min;
      }
    }
  }
}

}  // namespace

void dequantize_row(const Tensor& tensor, int64_t row, float* out) noexcept {
  const FileRow source = file_row(tensor, row);
  const int64_t cols = tensor.cols();
  switch (tensor.type) {
    case TensorType::kF32:
      std::memcpy(out, source.bytes, static_cast<size_t>(cols) * sizeof(float));
      return;
    case TensorType::kF16:
      for (int64_t k = 0; k < cols; ++k) out[k] = half_to_float(load_value<uint16_t>(source.bytes, k));
      return;
    case TensorType::kBf16:
      for (int64_t k = 0; k < cols; ++k) out[k] = bf16_to_float(load_value<uint16_t>(source.bytes, k));
      return;
    default:
      return dequantize_blocks(tensor.type, source, out);
  }
}

bool row_is_finite(const Tensor& tensor, int64_t row) noexcept {
  constexpr uint32_t kExponent = 0x7f800000;  // all ones: infinity or NaN
  const FileRow source = file_row(tensor, row);
  const int64_t block_bytes = tensor_type_info(tensor.type).block_bytes;
  for (int64_t b = 0; b < source.blocks; ++b) {
    bool finite;
    switch (tensor.type) {
      case TensorType::kF32:
        finite = (load_value<uint32_t>(source.bytes, b) & kExponent) != kExponent;
        break;
      case TensorType::kF16:
        finite = half_is_finite(load_value<uint16_t>(source.bytes, b));
        break;
      case TensorType::kBf16:
        finite = (load_value<uint16_t>(source.bytes, b) & (kExponent >> 16)) != (kExponent >> 16);
        break;
      default:
        finite = block_is_finite(tensor.type, source.bytes + b * block_bytes);
    }
    if (!finite) return false;
  }
  return true;
}

}  // namespace air
