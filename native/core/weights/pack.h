// File tensors to the kernels' packed matrices (kernels/include/air_formats.h).
#ifndef AIR_CORE_WEIGHTS_PACK_H_
#define AIR_CORE_WEIGHTS_PACK_H_

#include <cstdint>

#include "kernels/include/air_formats.h"
#include "native/core/status.h"
#include "native/core/weights/selection.h"
#include "native/core/weights/tensor.h"

namespace air {

// What packing lost; mergeable across tiles and tensors (all fields are sums but max_abs_error).
// Only conversions that can lose anything are measured: Q4_K, Q5_K and Q6_K, whose products of scales are
// rounded to float16, and BF16 to f16, whose values below 2^-17 lose at most 2^-25. The others add nothing,
// not even to squared_weight, so sqrt(squared_error / squared_weight) is the relative error of the lossy part.
struct ConversionError {
  double squared_error = 0;   // sum (packed - file)^2
  double squared_weight = 0;  // sum file^2
  double max_abs_error = 0;
};

// Tiles of a matrix of so many output rows.
inline int64_t tiles_of(int64_t rows) noexcept {
  return rows / AIR_TILE_ROWS + (rows % AIR_TILE_ROWS != 0);  // no sum that may overflow
}

// The layout's name in pack files.
const char* layout_name(AirLayout layout) noexcept;

// Decides the class that keeps the tensor's precision:
//   Q4_0 -> int4; Q4_1, Q4_K -> int4 with mins; Q8_0, Q5_0 -> int8; Q5_1, Q5_K -> int8 with mins;
//   Q6_K -> int8 with scales per 16; F16 -> f16; F32 -> f32; BF16 -> f16, or f32 when a value exceeds f16.
// Fills every field of `matrix` but data, and its total size in bytes. Reads the values only for BF16, and then
// all of them: the class does not depend on what is left out. AIR_ERR_ARGUMENT for a selection that does not fit.
Status plan_matrix(const Tensor& tensor, const MatrixSelection& selection, AirLayout layout,
                   AirMatrix* matrix, int64_t* total_bytes);

// Packs tiles [tile_begin, tile_end) of the selected part of `tensor` into `data` (the start of the whole matrix,
// 64-byte aligned, planned by plan_matrix for this tensor and selection). Thread-safe for disjoint ranges. Reads no
// rows that are left out. Adds to `error`, measured against the file's own values of what is packed. A NaN or infinite scale or weight, or a product of scales beyond float16, is
// AIR_ERR_MODEL_FORMAT naming role and row; AIR_ERR_ARGUMENT for another tensor's matrix or a bad range.
// `error` is untouched on failure.
Status pack_tiles(const Tensor& tensor, const MatrixSelection& selection, const AirMatrix& matrix,
                  uint8_t* data, int64_t tile_begin, int64_t tile_end, ConversionError* error);

// Dequantises one row of a 2-D tensor (or the whole of a 1-D one, row 0) to out[cols].
// Does not check for NaN; `row` must be in range.
void dequantize_row(const Tensor& tensor, int64_t row, float* out) noexcept;

// True when every scale/value of the row (quantised types: the float16 scales) is finite.
bool row_is_finite(const Tensor& tensor, int64_t row) noexcept;

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACK_H_
