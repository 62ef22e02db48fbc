// Which class a tensor is packed to, and where the sections of its tiles lie.
#include <algorithm>
#include <cstring>

#include "native/core/weights/pack.h"

namespace air {
namespace {

struct PackedForm {
  AirWeightClass weight_class;
  int32_t scale_group;  // 0 for float classes
  int32_t has_min;
};

// True when the bfloat16 tensor holds a value beyond float16: finite ones above 65504, infinities and NaN
// (packing reports the latter two).
bool bf16_exceeds_half(const Tensor& tensor) {
  constexpr uint16_t kLargestInHalf = 0x477f;  // 65280; the next bfloat16 is 65536
  const int64_t count = tensor.rows() * tensor.cols();
  uint16_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, tensor.data + 2 * i, sizeof(bits));
    largest = std::max<uint16_t>(largest, bits & 0x7fff);
  }
  return largest > kLargestInHalf;
}

PackedForm packed_form(const Tensor& tensor) {
  switch (tensor.type) {
    case TensorType::kQ4_0:
      return {AIR_WEIGHT_INT4, 32, 0};
    case TensorType::kQ4_1:
    case TensorType::kQ4K:
      return {AIR_WEIGHT_INT4, 32, 1};
    case TensorType::kQ8_0:
    case TensorType::kQ5_0:
      return {AIR_WEIGHT_INT8, 32, 0};
    case TensorType::kQ5_1:
    case TensorType::kQ5K:
      return {AIR_WEIGHT_INT8, 32, 1};
    case TensorType::kQ6K:
      return {AIR_WEIGHT_INT8, 16, 0};
    case TensorType::kF16:
      return {AIR_WEIGHT_F16, 0, 0};
    case TensorType::kBf16:
      return {bf16_exceeds_half(tensor) ? AIR_WEIGHT_F32 : AIR_WEIGHT_F16, 0, 0};
    case TensorType::kF32:
      break;
  }
  return {AIR_WEIGHT_F32, 0, 0};
}

int64_t value_bytes_per_tile(AirWeightClass weight_class, int64_t cols) {
  switch (weight_class) {
    case AIR_WEIGHT_INT4:
      return cols * AIR_TILE_ROWS / 2;
    case AIR_WEIGHT_INT8:
      return cols * AIR_TILE_ROWS;
    case AIR_WEIGHT_F16:
      return cols * AIR_TILE_ROWS * 2;
    case AIR_WEIGHT_F32:
      break;
  }
  return cols * AIR_TILE_ROWS * 4;
}

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

Status too_large(const Tensor& tensor) {
  return Status(StatusCode::kModelFormat, "expected a packed size within 63 bits for " + tensor.role +
                                              " but received " + std::to_string(tensor.rows()) + " rows of " +
                                              std::to_string(tensor.cols()) + " values");
}

}  // namespace

const char* layout_name(AirLayout layout) noexcept {
  return layout == AIR_LAYOUT_PAIRS ? "tile16pairs" : "tile16";
}

Status plan_matrix(const Tensor& tensor, const MatrixSelection& selection, AirLayout layout,
                   AirMatrix* matrix, int64_t* total_bytes) {
  AIR_RETURN_IF_ERROR(check_tensor(tensor));
  AIR_RETURN_IF_ERROR(check_selection(tensor, selection));
  const int64_t rows = selection.row_count(tensor);
  const int64_t cols = selection.col_count(tensor);
  // A tile takes at most 64 bytes per column (float32), so that below this bound its size cannot overflow.
  constexpr int64_t kMaxCols = int64_t{1} << 48;
  if (cols > kMaxCols) return too_large(tensor);

  const PackedForm form = packed_form(tensor);
  const int64_t scales = form.scale_group == 0 ? 0 : cols / form.scale_group * AIR_TILE_ROWS;
  const int64_t mins = form.has_min == 0 ? 0 : cols / AIR_GROUP * AIR_TILE_ROWS;
  *matrix = AirMatrix{};
  matrix->rows = rows;
  matrix->cols = cols;
  matrix->weight_class = form.weight_class;
  matrix->scale_group = form.scale_group;
  matrix->has_min = form.has_min;
  matrix->layout = layout;
  matrix->mins_offset = aligned(2 * scales);
  matrix->values_offset = matrix->mins_offset + aligned(2 * mins);
  matrix->tile_stride = aligned(matrix->values_offset + value_bytes_per_tile(form.weight_class, cols));
  if (__builtin_mul_overflow(tiles_of(rows), matrix->tile_stride, total_bytes)) return too_large(tensor);
  return Status();
}

}  // namespace air
