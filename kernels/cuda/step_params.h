// What the small kernels of a step are given: shared by kernels and host, plain C++. Pointers are the device's; rows
// past a count that is read from there are left alone, so that one launch serves every smaller step.
#ifndef AIR_KERNELS_CUDA_STEP_PARAMS_H_
#define AIR_KERNELS_CUDA_STEP_PARAMS_H_

#include <stdint.h>

#include "kernels/cuda/attention_params.h"

namespace air::cuda {

// Storage types of the token embedding, numbered as native/core/weights/tensor.h numbers them.
enum class EmbeddingType : int32_t { kF32, kF16, kBf16, kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4K, kQ5K, kQ6K };

// residual[row] = table[tokens[row]], dequantised
struct EmbedParams {
  const uint8_t* table;  // rows of the file, row_bytes each
  const int32_t* tokens;
  const int32_t* row_count;
  float* residual;  // [rows, cols]
  int64_t row_bytes;
  int32_t cols;
  EmbeddingType type;
};

// y = x / sqrt(mean(x^2) + epsilon) * weight, as float16
struct NormParams {
  const float* x;       // [rows, cols]
  const float* weight;  // [cols]
  const int32_t* row_count;
  uint16_t* y;  // [rows, y_stride]
  float* wide;  // [rows, cols], or null
  float epsilon;
  int32_t cols;
  int32_t y_stride;
};

// Queries scaled and rotated, keys rotated and written, values written.
struct RopeWriteParams {
  const float*
      projected;  // [tokens, stride]: query heads, from key_column kept KV heads' keys, from value_column values
  const int32_t* token_count;
  const float*
      cosines;  // [1 + groups, angle_stride, rope_dims / 2]: by token; entry 1 + g for the sinks of group g
  const float* sines;
  const int32_t* slots;      // [groups, range_stride] page * page_tokens + offset; -1 writes nothing
  const CacheRange* ranges;  // [groups, range_stride]
  const KvMember* members;   // [kv_heads] of the layer
  uint16_t* queries;         // [tokens, query_heads, padded_dim] binary16
  uint16_t* sink_queries;    // the same
  int32_t stride;
  int32_t key_column, value_column;
  int32_t angle_stride, range_stride;
  int32_t query_heads, kv_heads;
  int32_t head_dim, padded_dim, rope_dims;
  int32_t is_interleaved;  // pairs (2 j, 2 j + 1), else (j, j + rope_dims / 2)
  int32_t rotates_keys;    // by a normalised Hadamard matrix, as native/core/hadamard.h
  float query_scale;       // 1 / sqrt(head_dim)
  // AirKvLayout
  int32_t key_type, value_type;
  int32_t page_tokens;
  int32_t values_offset;
  int32_t key_scales_offset;
  int32_t value_scales_offset;
};

// y = silu(gate) * up, as float16
struct ActivateParams {
  const float* gate;  // [rows, stride]
  const float* up;    // [rows, stride]
  const int32_t* row_count;
  uint16_t* y;  // [rows, y_stride]
  int32_t cols, stride, y_stride;
};

// to[row] = from[rows[row]] + bias
struct GatherParams {
  const float* from;    // [.., cols]
  const int32_t* rows;  // null: row itself
  const int32_t* row_count;
  const float* bias;  // [cols], or null
  float* to;          // [rows, cols]; may be `from` when rows is null
  int32_t cols;
};

// The likeliest token of each row of logits and its probability: native/core/row_ops.h, argmax_row (-1 for a row that
// holds NaN) and peak_probability.
struct PeakParams {
  const float* logits;  // [rows, cols]
  const int32_t* row_count;
  int32_t* tokens;       // [rows]
  float* probabilities;  // [rows]
  int32_t cols;
};

// The next step's tokens: tokens[i] = drafted[source[i]]; one that is negative becomes 0, as nobody reads its results.
struct FeedParams {
  const int32_t* drafted;
  const int32_t* source;
  const int32_t* token_count;
  int32_t* tokens;
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_STEP_PARAMS_H_
