// Fills a step's block of inputs on the host.
#ifndef AIR_CUDA_STEP_INPUTS_H_
#define AIR_CUDA_STEP_INPUTS_H_

#include <cstdint>
#include <vector>

#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/cuda/step_plan.h"

namespace air::cuda {

struct StepSource {
  const Batch& batch;
  const std::vector<ReadRange>& ranges;      // [groups, tokens] of check_batch
  const std::vector<int32_t>& feed_sources;  // where each token's drafted predecessor is; or empty
  int64_t table_offset;                      // of the batch's page tables among those on the device
};

// block: plan.layout.bytes, 16-byte aligned.
void fill_step(const StepPlan& plan, const StepSource& source, const KvArena& arena, uint8_t* block);

}  // namespace air::cuda

#endif  // AIR_CUDA_STEP_INPUTS_H_
