// The shared memory of a block of the attention kernel: where what lies, for the kernel and for the host that asks for
// the bytes. Plain C++.
#ifndef AIR_KERNELS_CUDA_ATTENTION_SHARED_H_
#define AIR_KERNELS_CUDA_ATTENTION_SHARED_H_

#include "kernels/cuda/attention_params.h"
#include "kernels/cuda/kv_layout.h"

namespace air::cuda {

// What a query of the block is, in shared memory.
struct QuerySlot {
  int32_t end;           // 0: no query
  int32_t window_start;  // of its row
  int32_t source;        // token * query_heads + head
  int32_t target;        // row * query_heads + head
};

// One stage of the ring: 64 tokens as they lie in their pages, four stripes of 16, keys first.
struct StagePlan {
  int32_t key_stripe, value_stripe;  // bytes of a stripe
  int32_t key_scale_bytes, value_scale_bytes;
  int32_t values, key_scales, value_scales;  // offsets
  int32_t bytes;
};

// Offsets in bytes, all multiples of 16. m: tiles of 16 queries; c: cells of 32 dims that a warp accumulates;
// cells: D / 32.
struct SharedPlan {
  StagePlan stage;
  int32_t queries;       // [m][cells][2][32 lanes][16 bytes], the A fragments of the scores
  int32_t sink_queries;  // the same, when there are any
  int32_t weights;       // [m][4 stripes][32 lanes][16 bytes], the A fragments of exp(score - maximum)
  int32_t maxima;        // float [16 m][4 warps]
  int32_t sums;          // float [16 m][4 warps]
  int32_t slots;         // QuerySlot [16 m]
  int32_t parts;         // float [3][16 m c][32], what warps that share a cell add up; when cells is 1 or 2
  int32_t totals;        // float [16 m c][128], of the splits so far; when the block computes whole tiles
  int32_t ring;          // [stages] stages
  int32_t bytes;
};

AIR_ANYWHERE StagePlan plan_stage(int32_t key_type, int32_t value_type, int32_t padded_dim) {
  StagePlan plan = {};
  plan.key_stripe = kv_stripe_bytes(key_type, padded_dim);
  plan.value_stripe = kv_stripe_bytes(value_type, padded_dim);
  plan.key_scale_bytes = 2 * kv_stripe_scales(key_type, padded_dim);
  plan.value_scale_bytes = 2 * kv_stripe_scales(value_type, padded_dim);
  plan.values = kAttentionWarps * plan.key_stripe;
  plan.key_scales = plan.values + kAttentionWarps * plan.value_stripe;
  plan.value_scales = plan.key_scales + kAttentionWarps * plan.key_scale_bytes;
  plan.bytes = plan.value_scales + kAttentionWarps * plan.value_scale_bytes;
  return plan;
}

AIR_ANYWHERE SharedPlan plan_shared(const AttentionParams& params, int32_t m, int32_t c) {
  const int32_t cells = params.padded_dim / kCellDims;
  const int32_t query_bytes = m * cells * 1024;
  SharedPlan plan = {};
  plan.stage = plan_stage(params.key_type, params.value_type, params.padded_dim);
  plan.sink_queries = query_bytes;
  plan.weights = plan.sink_queries + (params.sink_queries != nullptr ? query_bytes : 0);
  plan.maxima = plan.weights + m * 2048;
  plan.sums = plan.maxima + m * 256;
  plan.slots = plan.sums + m * 256;
  plan.parts = plan.slots + m * 256;
  plan.totals = plan.parts + (cells <= 2 ? 3 * m * c * 2048 : 0);
  plan.ring = plan.totals + (params.split_lanes == 0 ? 16 * m * c * kAttentionThreads * 4 : 0);
  plan.bytes = plan.ring + params.stages * plan.stage.bytes;
  return plan;
}

// Of merge_attention.
struct FoldFactors {
  float keep, add;
};

constexpr int32_t kMergeSplits = kAttentionThreads;  // whose factors are found together

struct MergeMemory {
  float largest[kMergeSplits];
  float sum[kMergeSplits];
  FoldFactors factors[kMergeSplits];
  int64_t base[kMergeSplits];  // of the split's slot, in queries
  int32_t group;               // of the head's KV head; -1: none
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ATTENTION_SHARED_H_
