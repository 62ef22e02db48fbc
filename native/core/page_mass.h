// How much attention the last token of each sequence pays to each of its pages: a signal for eviction policies.
#ifndef AIR_CORE_PAGE_MASS_H_
#define AIR_CORE_PAGE_MASS_H_

#include <cstdint>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/thread_pool.h"
#include "native/core/workspace.h"

namespace air {

// Runs the attention kernel page by page, besides the attention that the step computes, whose bits it leaves alone.
class PageMass {
 public:
  // The arena and the workspace outlive this object.
  PageMass(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads);

  // ranges: [groups, tokens] of check_batch. Both outlive the step. Before the team starts; may throw std::bad_alloc.
  void begin_step(const Batch& batch, const std::vector<ReadRange>& ranges);
  // Called by every thread of the team, when the layer's queries are in Workspace::rotated and its keys in the arena.
  void add_layer(int64_t layer, Team& team);
  // Called by every thread of the team. out: [groups, sequences, pages per table], the mean over the open query heads
  // of the group: the pages of a sequence sum to 1, or all are 0 when nothing was read.
  void write(float* out, Team& team) const;
  // The same sums of the mean before they are divided, for who adds the other layers'.
  void write_sums(float* out, Team& team) const;

 private:
  // One query head's partial softmax over each page: the largest score, and the sum of exp(score - largest).
  struct Scores {
    float* largest;  // [pages, heads]
    float* sums;     // [pages, heads]
    float* acc;      // [AIR_ATTENTION_MAX_QUERIES, D], of no interest
  };

  Scores scratch_of(int64_t thread);
  void score_page(int64_t layer, int64_t kv_head, int64_t token, int64_t page, const Scores& scores) const;
  // Adds the softmax over pages of one query head to mass [pages].
  void add_head(const Scores& scores, int64_t head, int64_t heads, int64_t pages, double* mass) const;
  // Of all KV heads and layers, at [group, sequence, page].
  double mass_of(int64_t cell) const;
  const ReadRange& range_of(int64_t group, int64_t token) const;

  const AirKernelTable& kernels_;
  KvArena& arena_;
  const Workspace& workspace_;
  const int64_t threads_;

  // The step at hand.
  const Batch* batch_ = nullptr;
  const ReadRange* ranges_ = nullptr;
  int64_t table_pages_ = 0;  // per page table
  std::vector<double>
      mass_;  // [kv_heads, groups, sequences, table_pages], summed over layers and query heads
  std::vector<float> scratch_;  // [threads] Scores
  int64_t scratch_floats_ = 0;  // of one thread
};

}  // namespace air

#endif  // AIR_CORE_PAGE_MASS_H_
