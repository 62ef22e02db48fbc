// How much attention the newest token of each sequence pays to each of its pages (native/core/page_mass.h), on the
// device: for steps that are not recorded.
#ifndef AIR_CUDA_PAGE_MASS_H_
#define AIR_CUDA_PAGE_MASS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/page_mass_params.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/cuda/launcher.h"
#include "native/cuda/memory.h"

namespace air::cuda {

// Calls need a Context::Scope on the calling thread.
class PageMass {
 public:
  // Makes room for the batch's tables and clears the sums, once what was queued before is done with them. first_sums: of the
  // layers that the host computed, [groups, sequences, pages per table], until the step is done; or null.
  Status begin_step(const std::shared_ptr<Context>& context, const Batch& batch, const KvArena& arena,
                    const float* first_sums, Launcher& launcher);
  // Queues a layer, whose rotated queries and keys are queued.
  Status add_layer(const AttentionParams& attention, Launcher& launcher);
  // Queues the results' way to `out`, [groups, sequences, pages per table]; they are there once the stream is done.
  Status write(float* out, Launcher& launcher);

  int64_t bytes() const { return memory_.bytes(); }

 private:
  DeviceBuffer memory_;
  std::vector<int32_t> counts_;  // the number of sequences, and the newest token of each
  int64_t cells_ = 0;            // [groups, sequences, pages per table]
  PageMassParams params_{};
};

}  // namespace air::cuda

#endif  // AIR_CUDA_PAGE_MASS_H_
