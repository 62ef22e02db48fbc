// Folds the partial results that attention.cu left of each split into a row's attention, from the first split that the
// row reads to the last (attention_fold.h).
//
//   attended[row, head, d] = (fold of partials[slot, row, head, d]) / (fold of stats[slot, row, head].sum)
//
//   partials  float32 [split_slots, partial_rows, query_heads, D], stats as many pairs
//   attended  binary16 [rows, query_heads * head_dim]; zeros for closed and dropped heads and rows that read nothing
//   launch    (rows, query_heads) blocks of 128 threads; a thread has the dims d and d + 128
#include "kernels/cuda/attention_fold.h"

namespace air::cuda {
namespace {

constexpr int32_t kChunk = kMergeSplits;

// The splits that a row reads: those of the sinks, and those of the window that are not the sinks'.
struct RowSplits {
  int32_t sinks, window;  // window: the first of them
  int32_t count;
};

AIR_DEVICE RowSplits splits_of(const CacheRange& range) {
  const int32_t end = (range.end + kSplitTokens - 1) / kSplitTokens;
  const int32_t sinks = (range.sink_tokens + kSplitTokens - 1) / kSplitTokens;
  const int32_t window = range.window_start / kSplitTokens;
  RowSplits splits = {sinks < end ? sinks : end, window > sinks ? window : sinks, 0};
  splits.count = splits.sinks + (end > splits.window ? end - splits.window : 0);
  return splits;
}

// By all threads: the group of the KV head that `head` belongs to, if the head is open.
AIR_DEVICE int32_t find_group(const AttentionParams& params, int32_t head, MergeMemory* memory) {
  if (thread_id() == 0) memory->group = -1;
  sync_threads();
  for (auto i = static_cast<int32_t>(thread_id()); i < params.kv_heads; i += kAttentionThreads) {
    const KvMember& member = params.members[i];
    if (head >= member.first_query && head < member.first_query + member.query_count && is_open(params, head))
      memory->group = member.group;
  }
  sync_threads();
  return memory->group;
}

// Factors of up to kChunk splits from `first` on; returns the largest score of them and of `largest`, which is that of
// the splits before.
AIR_DEVICE float find_factors(const AttentionParams& params, const CacheRange& range, const RowSplits& splits,
                              int32_t first, int64_t target, float largest, MergeMemory* memory) {
  const auto i = static_cast<int32_t>(thread_id());
  const int32_t left = splits.count - first;
  const int32_t count = left < kChunk ? left : kChunk;
  sync_threads();
  if (i < count) {
    const int32_t at = first + i;
    const int32_t split = at < splits.sinks ? at : splits.window + at - splits.sinks;
    memory->base[i] = static_cast<int64_t>(slot_of_split(params, range.sink_tokens, split)) *
                          params.partial_rows * params.query_heads +
                      target;
    const PartialStats stats = params.stats[memory->base[i]];
    memory->largest[i] = stats.largest;
    memory->sum[i] = stats.sum;
  }
  sync_threads();
  float before = largest;
  for (int32_t j = 0; j < count; ++j) {
    if (j == i) memory->factors[i] = fold_factors(before, memory->largest[i]);
    before = larger(before, memory->largest[j]);
  }
  sync_threads();
  return before;
}

AIR_DEVICE void merge(const AttentionParams& params, int32_t row, int32_t head) {
  auto* memory = reinterpret_cast<MergeMemory*>(shared_memory());
  const auto thread = static_cast<int32_t>(thread_id());
  const int32_t target = row * params.query_heads + head;
  const int32_t group = find_group(params, head, memory);
  CacheRange range = {};
  RowSplits splits = {};
  if (group >= 0) {
    range = params.ranges[static_cast<int64_t>(group) * params.range_stride + params.row_tokens[row]];
    splits = splits_of(range);
  }
  float largest = kNothingRead;
  float sum = 0.0f;
  float acc[2] = {0.0f, 0.0f};
  for (int32_t first = 0; first < splits.count; first += kChunk) {
    largest = find_factors(params, range, splits, first, target, largest, memory);
    const int32_t count = splits.count - first < kChunk ? splits.count - first : kChunk;
    AIR_UNROLL_BY(8)
    for (int32_t j = 0; j < count; ++j) {
      const FoldFactors factors = memory->factors[j];
      const float* partial = params.partials + memory->base[j] * params.padded_dim;
      sum = fold(sum, memory->sum[j], factors);
      if (thread < params.padded_dim) acc[0] = fold(acc[0], partial[thread], factors);
      if (thread + kChunk < params.padded_dim) acc[1] = fold(acc[1], partial[thread + kChunk], factors);
    }
  }
  const float inverse = inverse_of(sum);
  uint16_t* to = params.attended + static_cast<int64_t>(target) * params.head_dim;
  for (int i = 0; i < 2; ++i) {
    const int32_t d = thread + i * kChunk;
    if (d < params.head_dim) to[d] = float_to_half_saturated(acc[i] * inverse);
  }
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(128) merge_attention(air::cuda::AttentionParams params) {
  const auto row = static_cast<int32_t>(air::cuda::block_x());
  if (row >= *params.row_count) return;
  air::cuda::merge(params, row, static_cast<int32_t>(air::cuda::block_y()));
}
