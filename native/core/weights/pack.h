// File tensors to the kernels' packed matrices (kernels/include/air_formats.h).
#ifndef AIR_CORE_WEIGHTS_PACK_H_
#define AIR_CORE_WEIGHTS_PACK_H_

#include <cstdint>

#include "kernels/include/air_formats.h"
#include "native/core/status.h"
#include "native/core/weights/tensor.h"

namespace air {

// Sums for one ConversionReport; mergeable across tiles and tensors (all fields are sums but max_abs_error).
struct ConversionError {
  double squared_error = 0;   // sum (packed - file)^2
  double squared_weight = 0;  // sum file^2
  double max_abs_error = 0;
};

// Decides the class that keeps the tensor's precision:
//   Q4_0 -> int4; Q4_1, Q4_K -> int4 with mins; Q8_0, Q5_0 -> int8; Q5_1, Q5_K -> int8 with mins;
//   Q6_K -> int8 with scales per 16; F16 -> f16; F32 -> f32; BF16 -> f16, or f32 when a value exceeds f16.
// Fills every field of `matrix` but data, and its total size in bytes. Reads the values only for BF16.
Status plan_matrix(const Tensor& tensor, AirMatrix* matrix, int64_t* total_bytes);

// Packs tiles [tile_begin, tile_end) of `tensor` into `data` (the start of the whole matrix, 64-byte aligned,
// planned by plan_matrix). Thread-safe for disjoint ranges. Adds to `error`, measured against the file's own
// dequantised values. A NaN or infinite scale or weight is AIR_ERR_MODEL_FORMAT naming role and row.
Status pack_tiles(const Tensor& tensor, const AirMatrix& matrix, uint8_t* data, int64_t tile_begin,
                  int64_t tile_end, ConversionError* error);

// Dequantises one row of a 2-D tensor (or the whole of a 1-D one, row 0) to out[cols].
// Does not check for NaN; `row` must be in range.
void dequantize_row(const Tensor& tensor, int64_t row, float* out) noexcept;

// Reads one row of a packed matrix back to out[cols] (tests, tied embeddings).
void unpack_row(const AirMatrix& matrix, int64_t row, float* out) noexcept;

// True when every scale/value of the row (quantised types: the float16 scales) is finite.
bool row_is_finite(const Tensor& tensor, int64_t row) noexcept;

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACK_H_
