// The forward pass on a CUDA device. Small steps run as graphs, one for each kind of step; what changes from step to step
// is read from device memory that stays where it is.
#ifndef AIR_CUDA_RUNNER_H_
#define AIR_CUDA_RUNNER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "native/core/cpu_runner.h"
#include "native/core/propose.h"
#include "native/core/runner.h"
#include "native/cuda/activations.h"
#include "native/cuda/device_model.h"
#include "native/cuda/forward.h"
#include "native/cuda/graph.h"
#include "native/cuda/launcher.h"
#include "native/cuda/page_mass.h"
#include "native/cuda/step_plan.h"

namespace air::cuda {

class CudaRunner final : public Runner {
 public:
  // The arena's pages lie in the memory of the device that has the weights; those of the layers before
  // device->first_layer() on the host, which computes these layers by host_kernels. Without such layers it may be null.
  static Status create(std::shared_ptr<const DeviceModel> device, const AirKernelTable* host_kernels,
                       std::shared_ptr<KvArena> arena, const RunnerOptions& options,
                       std::unique_ptr<Runner>* runner);
  ~CudaRunner() override;

  Status adopt_this_thread() override { return place_this_thread(options().placement, 0); }
  Status forward(const Batch& batch, const StepOutput& output) override;
  // A chain of steps on the device, each fed by the one before, with one wait at its end. With layers on the host, step
  // by step.
  Status propose(const ProposeRequest& request, ProposeResult* result) override;
  void limit_threads(int threads) noexcept override;
  void cancel() noexcept override;
  void clear_cancel() noexcept override;
  int64_t workspace_bytes() const override;

  // Graphs that were recorded, for tests.
  int64_t recorded_graphs() const { return recorded_graphs_; }

 private:
  struct Variant {
    StepPlan plan;
    std::unique_ptr<Graph> graph;     // layers, and logits of all rows; null: not yet recorded
    std::unique_ptr<Graph> drafting;  // the same, and their peaks
  };

  CudaRunner(std::shared_ptr<const DeviceModel> device, std::shared_ptr<KvArena> arena,
             const RunnerOptions& options);
  Status allocate(const AirKernelTable* host_kernels);
  // Computes the layers of the host and queues what the first layer of the device is given.
  Status run_host(const Batch& batch, const StepOutput& output);
  Context& context() const { return device_->context(); }

  // Copies the page tables of batches, one after the other, to the device.
  Status upload_tables(const std::vector<const Batch*>& batches);
  // A plan for steps like the batch, with room for them.
  Status prepare(const Batch& batch, Variant** variant);
  Status reserve(DeviceBuffer* buffer, int64_t bytes, const char* purpose);
  StepMemory memory() const;

  Status run_step(const Batch& batch, const StepOutput& output);
  Status run_eager(const Batch& batch, const StepOutput& output, const StepPlan& plan);
  Status read_logits(int64_t rows, float* out);
  Status launch_graph(Variant* variant, bool is_drafting);
  LayerHooks hooks_for(const Batch& batch, const StepOutput& output);
  Status add_squares(DevicePointer rows, int64_t row_count, int64_t columns, int64_t stride, float* sums);
  void forget_variants();

  // One step of a chain.
  struct Link {
    Batch batch;
    std::vector<ReadRange> ranges;
    std::vector<int64_t> sequences;  // of the request, by row
    Variant* variant = nullptr;
    int64_t block_offset = 0;  // bytes
    int64_t table_offset = 0;  // entries
  };
  Status plan_chain(const ProposeRequest& request, std::vector<Link>* links);
  Status upload_chain(const ProposeRequest& request, const std::vector<Link>& links);
  Status queue_chain(const std::vector<Link>& links);
  Status read_chain(const ProposeRequest& request, const std::vector<Link>& links, ProposeResult* result);

  const std::shared_ptr<const DeviceModel> device_;
  std::unique_ptr<CpuRunner> host_;  // of the layers before the device's; or null
  PinnedBuffer host_residual_;       // float32 [tokens, embedding_length], on its way
  std::vector<float> host_mass_;     // sums of page mass
  Activations activations_;
  Launcher launcher_;
  Forward forward_;
  DeviceBuffer block_;        // StepLayout of the largest step
  DeviceBuffer page_tables_;  // grows, which ends the graphs
  DeviceBuffer partials_, stats_;
  DeviceBuffer chain_;       // blocks of a chain's steps
  DeviceBuffer drafted_;     // int32 and float [steps, tokens]
  PinnedBuffer host_block_;  // a step's block, or a chain's
  PinnedBuffer host_tables_;
  PinnedBuffer host_drafted_;
  DeviceBuffer probabilities_;  // float [tokens]
  Event paces_[2];              // layers of a step that is not recorded
  PageMass page_mass_;
  std::map<decltype(StepKind().key()), std::unique_ptr<Variant>> variants_;
  std::vector<ReadRange> ranges_;    // of the step at hand
  std::vector<float> draft_logits_;  // for more sequences than fit a chain
  int64_t recorded_graphs_ = 0;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_RUNNER_H_
