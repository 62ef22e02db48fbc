// The kernels of one step, queued on a stream.
#ifndef AIR_CUDA_FORWARD_H_
#define AIR_CUDA_FORWARD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/cuda/attention_params.h"
#include "kernels/cuda/launch/matmul.h"
#include "kernels/cuda/matmul_params.h"
#include "native/core/kv_arena.h"
#include "native/cuda/activations.h"
#include "native/cuda/device_model.h"
#include "native/cuda/launcher.h"
#include "native/cuda/step_plan.h"

namespace air::cuda {

// Device memory that a step reads and that stays where it is.
struct StepMemory {
  DevicePointer block = 0;        // StepLayout
  DevicePointer page_tables = 0;  // int32
  DevicePointer partials = 0;     // of splits: StepPlan::partial_bytes
  DevicePointer stats = 0;
};

// Hooks into the layers of a step that is not recorded; any may be empty.
struct LayerHooks {
  std::function<Status(int64_t layer)> before;  // a failure ends the step
  // Rotated queries and the layer's keys are queued: what reading them takes, nothing of how rows are cut.
  std::function<Status(const AttentionParams& attention)> rotated;
  std::function<Status(int64_t layer, int64_t columns)> attended;  // Activations::attended is queued
  std::function<Status(int64_t layer, int64_t columns)> hidden;    // Activations::hidden is queued
  bool keeps_states = false;  // the normed rows go to Activations::residual too, unrounded
};

class Forward {
 public:
  // All outlive it. Uploads the table of KV members.
  Status create(const DeviceModel& device, const KvArena& arena, const Activations& activations,
                Launcher& launcher);

  // Everything up to the rows that have logits, normed: Activations::normed rows 0 ... With layers on the host, from their
  // results in Activations::residual on.
  Status layers(const StepPlan& plan, const StepMemory& memory, const LayerHooks& hooks);
  // Logits of `count` normed rows from `first` on into Activations::logits. count may exceed what there is.
  Status logits(int64_t first, int64_t count);
  // The likeliest token of each row of Activations::logits, and its probability.
  Status peaks(const StepPlan& plan, const StepMemory& memory, DevicePointer probabilities);
  // The tokens that were drafted, as those of the step in the block.
  Status feed(const StepPlan& plan, const StepMemory& memory);

 private:
  // The step at hand.
  struct Step {
    const StepPlan& plan;
    const StepMemory& memory;
    const LayerHooks& hooks;
  };
  // Rows of a phase: how many at most, and where their number is.
  struct Rows {
    int64_t most;
    DevicePointer count;
  };

  Status embed(const Step& step);
  Status layer(const Step& step, int64_t index);
  Status project(const Step& step, int64_t index);
  Status rotate_and_store(const Step& step, int64_t index);
  // All of the layer's attention that does not depend on how rows are cut into tiles.
  AttentionParams attention_of(const Step& step, int64_t index) const;
  Status attend(const Step& step, int64_t index, const Rows& rows, DevicePointer residual);
  Status feed_forward(const Step& step, int64_t index, const Rows& rows, DevicePointer residual);
  // wide: float32 [rows, embedding_length] of the same; or 0
  Status norm(const Rows& rows, DevicePointer x, DevicePointer weight, DevicePointer wide = 0);
  Status gather(const Rows& rows, DevicePointer from, DevicePointer row_indices, DevicePointer bias,
                DevicePointer to);
  Status multiply(const DeviceProduct& product, const Rows& rows, DevicePointer x, int64_t x_stride,
                  DevicePointer y, int64_t y_stride, MatmulStore store);
  Rows rows_of(const Step& step, bool is_logit_rows) const;

  const DeviceModel* device_ = nullptr;
  const KvArena* arena_ = nullptr;
  const Activations* activations_ = nullptr;
  Launcher* launcher_ = nullptr;
  MatmulDevice matmul_device_;
  DeviceBuffer members_;               // KvMember, those of layers side by side
  std::vector<int64_t> first_member_;  // [layers] into members_
};

}  // namespace air::cuda

#endif  // AIR_CUDA_FORWARD_H_
