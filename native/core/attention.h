// Paged attention of one layer: cuts the work into fixed ranges of cache indices, runs the kernel on them and
// merges the partial results in a fixed order, so that a row's result depends on neither threads nor batch.
#ifndef AIR_CORE_ATTENTION_H_
#define AIR_CORE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/pruning.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/core/workspace.h"

namespace air {

class Attention {
 public:
  // The arena and the workspace outlive this object.
  Attention(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads);

  // Neighbouring rows of one sequence, which one pass over its cache serves.
  struct Tile {
    int32_t first_row;
    int32_t rows;
  };
  // A piece of a tile's context whose result is merged with the others' afterwards.
  struct Task {
    int32_t tile;
    int32_t split;
  };
  // How the rows of a step are shared out.
  struct Plan {
    const int32_t* rows = nullptr;  // [row_count] token index of each output row
    int64_t row_count = 0;
    std::vector<Tile> tiles;
    std::vector<Task> tasks;          // tile-major; empty when whole tiles are shared out
    std::vector<int64_t> first_task;  // [tiles + 1] into tasks
  };

  // ranges: [groups, tokens] of check_batch. Both outlive the step.
  void begin_step(const Batch& batch, const std::vector<ReadRange>& ranges);
  // Plans the step's rows. Before the team starts; may throw std::bad_alloc.
  void make_plan(const int32_t* rows, int64_t row_count, Plan* plan);

  // Called by every thread of the team; the layer has query heads. Reads Workspace::rotated, writes
  // Workspace::attended rows 0 .. row_count - 1 (zero for gated and dropped heads), and their int8 form if asked.
  void run_layer(int64_t layer, const Plan& plan, bool quantize, Team& team);

 private:
  // Unnormalised attention of a tile's rows and one KV head's query heads over some cache indices.
  struct Partial {
    float* running_max;  // [rows, KvHead::query_count]
    float* running_sum;  // [rows, KvHead::query_count]
    float* acc;          // [rows, KvHead::query_count, D]
  };
  struct Layer {
    int64_t index;
    const LayerShape& shape;
    bool quantize_heads;  // a KV head's share of a row by itself
  };
  // A tile's work against one KV head.
  struct Work {
    const Layer& layer;
    LayerShape::KvHead kv_head;
    const int32_t* rows;  // [row_count] token index of each row
    int64_t row_count;
    int64_t first_row;  // of the output
    bool quantize;      // what finish() writes

    int64_t query_count() const { return row_count * kv_head.query_count; }
  };

  void make_tiles(int64_t row_count, Plan* plan) const;
  bool is_read(int32_t first, int32_t last, int64_t split) const;
  // Whether the two tokens read one sequence's cache, in every head group.
  bool shares_cache(int32_t token, int32_t other) const;
  // kv_head: among the layer's.
  Work work_of(const Layer& layer, int64_t kv_head, const Plan& plan, int64_t tile) const;
  Partial partial_at(float* base, int64_t index) const;
  // Cached entries that the work's last row reads, the most of all; 0 for a dropped KV head.
  int64_t read_length(const Work& work) const;
  // head: among the KV head's query heads.
  bool is_open(const Work& work, int64_t head) const;
  // One split. With goes_on, the calling thread takes the next split afterwards.
  void attend(const Work& work, int64_t split, bool goes_on, const Partial& out);
  // One call of the kernel: query heads [head, head + count) of the KV head, for rows [row, row + rows).
  void attend_heads(const Work& work, int64_t row, int64_t rows, int64_t head, int64_t count,
                    const AirAttentionArgs& args, const Partial& out);
  void merge(const Work& work, const Partial& from, const Partial& into) const;
  void finish(const Work& work, const Partial& result);
  void run_whole_tiles(const Layer& layer, const Plan& plan, Team& team);
  void run_splits(const Layer& layer, const Plan& plan, Team& team);

  const AirKernelTable& kernels_;
  KvArena& arena_;
  const Workspace& workspace_;
  const DecoderSpec& spec_;
  const int64_t heads_;           // most query heads per KV head
  const int64_t head_dim_;        // D, padded
  const int64_t tile_rows_;       // most rows of a tile
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
