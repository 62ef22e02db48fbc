#include "native/cuda/step_plan.h"

#include <algorithm>
#include <string>

namespace air::cuda {

namespace {

int64_t power_of_two_from(int64_t value) {
  int64_t power = 1;
  while (power < value) power *= 2;
  return power;
}

bool any_positive(const std::vector<int32_t>& values) {
  return std::any_of(values.begin(), values.end(), [](int32_t value) { return value > 0; });
}

bool same_problem(const AttentionProblem& a, const AttentionProblem& b) {
  return a.rows == b.rows && a.kv_heads == b.kv_heads && a.heads_per_kv == b.heads_per_kv &&
         a.query_heads == b.query_heads;
}

}  // namespace

StepKind kind_of(const Batch& batch, const KvArena& arena) {
  StepKind kind;
  const int64_t sequences = batch.sequence_count();
  kind.tokens = batch.token_count();
  kind.rows = batch.row_count();
  kind.sequences = sequences;
  for (int64_t s = 0; s < sequences; ++s) {
    kind.rows_per_sequence =
        std::max<int64_t>(kind.rows_per_sequence, batch.sequence_starts[static_cast<size_t>(s + 1)] -
                                                      batch.sequence_starts[static_cast<size_t>(s)]);
  }
  const int64_t context = *std::max_element(batch.context_lengths.begin(), batch.context_lengths.end());
  kind.cached_tokens = std::max<int64_t>(power_of_two_from(context), 256);
  kind.has_sinks = any_positive(batch.sink_tokens);
  kind.has_gates = !batch.query_gates.empty();
  if (kind.tokens <= kMaxGraphTokens) {
    kind.tokens = power_of_two_from(kind.tokens);
    kind.rows = kind.rows == 0 ? 0 : power_of_two_from(kind.rows);
    kind.rows_per_sequence = power_of_two_from(kind.rows_per_sequence);
    kind.sequences = kind.tokens;
  } else {
    // Neighbouring sizes share a plan; their counts are read from the device.
    kind.tokens = (kind.tokens + 7) / 8 * 8;
    kind.rows_per_sequence = std::min(kind.tokens, (kind.rows_per_sequence + 7) / 8 * 8);
  }
  (void)arena;
  return kind;
}

Status StepPlan::make(const StepKind& kind, const KvArena& arena, const DeviceInfo& device,
                      int64_t first_layer, StepPlan* plan) {
  const DecoderSpec& spec = arena.model()->spec();
  plan->kind = kind;
  plan->layout =
      StepLayout({kind.tokens, arena.group_count(), spec.rope_dims / 2, spec.layers * spec.query_heads});
  plan->attention.clear();
  plan->layer_attention.assign(static_cast<size_t>(first_layer), 0);
  plan->tile_sets.clear();
  for (int64_t layer = first_layer; layer < spec.layers; ++layer)
    AIR_RETURN_IF_ERROR(plan->add_layer(layer, arena, device));
  return {};
}

Status StepPlan::add_layer(int64_t layer, const KvArena& arena, const DeviceInfo& device) {
  const DecoderSpec& spec = arena.model()->spec();
  const LayerShape& shape = arena.model()->layers()[static_cast<size_t>(layer)].shape;
  const bool is_last = layer + 1 == spec.layers;
  Attention layer_plan;
  AttentionProblem& problem = layer_plan.problem;
  problem.rows = static_cast<int32_t>(is_last ? kind.rows : kind.tokens);
  if (shape.query_heads.empty() || problem.rows == 0) {
    layer_attention.push_back(0);  // never read
    return {};
  }
  problem.rows_per_sequence = static_cast<int32_t>(std::min<int64_t>(kind.rows_per_sequence, problem.rows));
  problem.sequences = static_cast<int32_t>(kind.sequences);
  problem.kv_heads = static_cast<int32_t>(shape.kv_count());
  problem.query_heads = static_cast<int32_t>(shape.query_count());
  problem.heads_per_kv = 1;
  for (const LayerShape::KvHead& head : shape.kv_heads)
    problem.heads_per_kv = std::max(problem.heads_per_kv, static_cast<int32_t>(head.query_count));
  problem.padded_dim = static_cast<int32_t>(spec.padded_head_dim());
  problem.key_type = arena.layout().key_type;
  problem.value_type = arena.layout().value_type;
  problem.cached_tokens = kind.cached_tokens;
  problem.has_sinks = kind.has_sinks;
  const auto same = std::find_if(attention.begin(), attention.end(), [&](const Attention& other) {
    return same_problem(other.problem, problem) && other.is_logit_rows == is_last;
  });
  layer_attention.push_back(static_cast<size_t>(same - attention.begin()));
  if (same != attention.end()) return {};
  AttentionDevice limits;
  limits.multiprocessors = device.multiprocessors;
  limits.shared_per_block = device.shared_bytes;
  limits.shared_per_multiprocessor = device.shared_bytes_per_multiprocessor;
  layer_plan.shape = choose_attention(problem, limits);
  if (layer_plan.shape.kernel == nullptr) {
    return {StatusCode::kUnsupported, "expected heads of up to 256 dims for a CUDA device but received " +
                                          std::to_string(spec.head_dim)};
  }
  layer_plan.is_logit_rows = is_last;
  AIR_RETURN_IF_ERROR(find_tile_set(layer_plan.shape.tile_rows, is_last, &layer_plan.tile_set));
  partial_bytes = std::max(partial_bytes, layer_plan.shape.partial_bytes);
  stats_bytes = std::max(stats_bytes, layer_plan.shape.stats_bytes);
  attention.push_back(layer_plan);
  return {};
}

Status StepPlan::find_tile_set(int32_t tile_rows, bool is_logit_rows, int64_t* set) {
  for (*set = 0; *set < static_cast<int64_t>(tile_sets.size()); ++*set) {
    const TileSet& known = tile_sets[static_cast<size_t>(*set)];
    if (known.tile_rows == tile_rows && known.is_logit_rows == is_logit_rows) return {};
  }
  if (*set == kMaxTileSets) {
    return {StatusCode::kInternal, "expected at most " + std::to_string(kMaxTileSets) +
                                       " sizes of attention tiles but received more"};
  }
  tile_sets.push_back({tile_rows, is_logit_rows});
  return {};
}

}  // namespace air::cuda
