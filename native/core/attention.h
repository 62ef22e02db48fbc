// Paged attention of one layer: cuts the work into fixed ranges of cache indices, runs the kernel on them and
// merges the partial results in a fixed order, so that a row's result depends on neither threads nor batch.
#ifndef AIR_CORE_ATTENTION_H_
#define AIR_CORE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/core/workspace.h"

namespace air {

class Attention {
 public:
  // The arena and the workspace outlive this object.
  Attention(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads);

  // A piece of one row's context whose result is merged with the others' afterwards.
  struct Task {
    int32_t row;
    int32_t split;
  };
  // How the rows of a step are shared out.
  struct Plan {
    const int32_t* rows = nullptr;  // [row_count] token index of each output row
    int64_t row_count = 0;
    std::vector<Task> tasks;          // row-major; empty when whole rows are shared out
    std::vector<int64_t> first_task;  // [row_count + 1] into tasks
  };

  // ranges: [groups, tokens] of check_batch. Both outlive the step.
  void begin_step(const Batch& batch, const std::vector<ReadRange>& ranges);
  // Plans the step's rows. Before the team starts; may throw std::bad_alloc.
  void make_plan(const int32_t* rows, int64_t row_count, Plan* plan);

  // Called by every thread of the team. Reads Workspace::rotated, writes
  // Workspace::attended rows 0 .. row_count - 1 (zero for gated and dropped heads).
  void run_layer(int64_t layer, const Plan& plan, Team& team);

 private:
  // Unnormalised attention of one row and one KV head's query heads over some cache indices.
  struct Partial {
    float* running_max;  // [heads_per_group]
    float* running_sum;  // [heads_per_group]
    float* acc;          // [heads_per_group, D]
  };

  Partial partial_at(float* base, int64_t index) const;
  // Cached entries that the token reads for this KV head; 0 for a dropped one.
  int64_t read_length(int64_t layer, int64_t kv_head, int32_t token) const;
  bool is_open(int64_t layer, int64_t query_head) const;
  void attend(int64_t layer, int32_t token, int64_t kv_head, int64_t begin, int64_t end, const Partial& out);
  void merge(const Partial& from, const Partial& into) const;
  void finish(int64_t layer, int64_t row, int64_t kv_head, const Partial& result);
  void run_whole_rows(int64_t layer, const Plan& plan, Team& team);
  void run_splits(int64_t layer, const Plan& plan, Team& team);

  const AirKernelTable& kernels_;
  KvArena& arena_;
  const Workspace& workspace_;
  const DecoderSpec& spec_;
  const int64_t heads_;           // query heads per KV head
  const int64_t head_dim_;        // D, padded
  const int64_t partial_floats_;  // size of one Partial
  const int threads_;
  std::vector<float> thread_scratch_;  // [threads, 2] Partials

  // The step at hand.
  const Batch* batch_ = nullptr;
  const ReadRange* ranges_ = nullptr;
  std::vector<float> split_partials_;  // [tasks, kv_heads] Partials
};

}  // namespace air

#endif  // AIR_CORE_ATTENTION_H_
