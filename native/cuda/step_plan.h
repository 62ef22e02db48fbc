// Everything about a step that its shape decides: computed once for all steps of a kind, and what a graph is known by.
#ifndef AIR_CUDA_STEP_PLAN_H_
#define AIR_CUDA_STEP_PLAN_H_

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "kernels/cuda/launch/attention.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/status.h"
#include "native/cuda/context.h"
#include "native/cuda/step_layout.h"

namespace air::cuda {

// Numbers that a kind of step does not exceed.
struct StepKind {
  int64_t tokens = 0;
  int64_t rows = 0;  // that have logits
  int64_t rows_per_sequence = 0;
  int64_t sequences = 0;
  int64_t cached_tokens = 0;  // that a sequence has pages for
  bool has_sinks = false;
  bool has_gates = false;

  auto key() const {
    return std::make_tuple(tokens, rows, rows_per_sequence, sequences, cached_tokens, has_sinks, has_gates);
  }
};

// Steps of up to this many tokens are rounded up to a power of two and run as graphs.
constexpr int64_t kMaxGraphTokens = 16;

// The kind of a batch that check_batch accepted.
StepKind kind_of(const Batch& batch, const KvArena& arena);

struct StepPlan {
  StepKind kind;
  StepLayout layout;
  struct Attention {
    AttentionProblem problem;
    AttentionShape shape;
    int64_t tile_set = 0;
    bool is_logit_rows = false;
  };
  std::vector<Attention> attention;     // distinct ones
  std::vector<size_t> layer_attention;  // [layers] into `attention`; not read of the host's
  struct TileSet {
    int32_t tile_rows = 1;
    bool is_logit_rows = false;
  };
  std::vector<TileSet> tile_sets;  // at most kMaxTileSets
  int64_t partial_bytes = 0;       // most of any layer
  int64_t stats_bytes = 0;

  // For the layers from first_layer on. AIR_ERR_UNSUPPORTED when a layer's attention has no kernel.
  static Status make(const StepKind& kind, const KvArena& arena, const DeviceInfo& device,
                     int64_t first_layer, StepPlan* plan);

  StepPlan() : layout(StepShape{}) {}

 private:
  Status add_layer(int64_t layer, const KvArena& arena, const DeviceInfo& device);
  Status find_tile_set(int32_t tile_rows, bool is_logit_rows, int64_t* set);
};

}  // namespace air::cuda

#endif  // AIR_CUDA_STEP_PLAN_H_
