// The activation buffers of one runner, carved from one allocation. Untouched parts cost no memory.
#ifndef AIR_CORE_WORKSPACE_H_
#define AIR_CORE_WORKSPACE_H_

#include <cstdint>

#include "kernels/include/air_kernels.h"
#include "native/core/aligned_buffer.h"
#include "native/core/decoder_spec.h"
#include "native/core/status.h"

namespace air {

// Rows of float32 with their int8 form, as AirActivations describes.
struct QuantizedRows {
  float* values = nullptr;    // [rows, cols]
  int8_t* q = nullptr;        // [rows, cols]
  float* scales = nullptr;    // [rows, cols / 32]
  int32_t* sums16 = nullptr;  // [rows, cols / 16]
  int64_t cols = 0;

  AirActivations view(int64_t rows) const { return view(rows, cols); }
  // Rows of a layer that has fewer columns than there is room for.
  AirActivations view(int64_t rows, int64_t row_cols) const {
    return {values, q, scales, sums16, rows, row_cols};
  }

  // Fills the int8 form of `count` values from element `at` on, both multiples of 32: groups know no rows.
  void quantize(const AirKernelTable& kernels, int64_t at, int64_t count) const {
    kernels.quantize_rows(values + at, 1, count, q + at, scales + at / AIR_GROUP, sums16 + at / AIR_STRIPE);
  }
};

struct Workspace {
  // T = most tokens, D = padded head dim, G = head groups. Heads and channels that a pruned layer leaves out are
  // left out of its rows: it uses the beginning of what is sized here for the whole model.
  float* residual = nullptr;   // [T, embedding_length]
  QuantizedRows normed;        // [T, embedding_length]
  float* q = nullptr;          // [T, query_heads * head_dim] as projected
  float* k = nullptr;          // [T, kv_heads * head_dim]
  float* v = nullptr;          // [T, kv_heads * head_dim]
  QuantizedRows rotated;       // [T * query_heads, D] scaled by 1/sqrt(head_dim), at the token's position
  QuantizedRows rotated_sink;  // [T * query_heads, D] the same at the shifted position
  float* cosines = nullptr;    // [1 + G, T, rope_dims / 2]; entry 0 unshifted, 1 + g for the sinks of group g
  float* sines = nullptr;      // [1 + G, T, rope_dims / 2]
  QuantizedRows attended;      // [T, query_heads * head_dim]
  float* gate = nullptr;       // [T, feed_forward_length]
  float* up = nullptr;         // [T, feed_forward_length]
  QuantizedRows hidden;        // [T, feed_forward_length]

  // Hands the rotated queries, in both their forms, to the kernel.
  void set_queries(AirAttentionArgs* args) const {
    args->q = rotated.values;
    args->q_int8 = rotated.q;
    args->q_scales = rotated.scales;
    args->q_sums16 = rotated.sums16;
    args->sink_q = rotated_sink.values;
    args->sink_q_int8 = rotated_sink.q;
    args->sink_q_scales = rotated_sink.scales;
    args->sink_q_sums16 = rotated_sink.sums16;
  }

  Status allocate(const DecoderSpec& spec, int64_t max_tokens, int64_t head_groups);
  int64_t bytes() const { return memory_.bytes(); }

 private:
  AlignedBuffer memory_;
};

}  // namespace air

#endif  // AIR_CORE_WORKSPACE_H_
