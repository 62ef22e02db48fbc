// The forward pass on the CPU: activations of one step at a time, each phase shared out among a team of threads.
#ifndef AIR_CORE_CPU_RUNNER_H_
#define AIR_CORE_CPU_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/attention.h"
#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/model.h"
#include "native/core/page_mass.h"
#include "native/core/runner.h"
#include "native/core/status.h"
#include "native/core/thread_placement.h"
#include "native/core/thread_pool.h"
#include "native/core/workspace.h"

namespace air {

class CpuRunner final : public Runner {
 public:
  // AIR_ERR_UNSUPPORTED when the model's weights were packed for kernels that read another layout.
  static Status create(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                       const RunnerOptions& options, std::unique_ptr<Runner>* runner);

  // Of the first `layers` layers alone, for a runner that computes the others elsewhere: begin() in place of forward().
  static Status create_beginning(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                                 const RunnerOptions& options, int64_t layers,
                                 std::unique_ptr<CpuRunner>* runner);

  // Computes the layers of a beginning. residual: [tokens, embedding_length], what the next layer is given, until the next
  // call. Of the output, the activity of these layers, and the sums that page_mass is the mean of.
  Status begin(const Batch& batch, const StepOutput& output, const float** residual);

  Status adopt_this_thread() override { return place_this_thread(options().placement, 0); }
  Status forward(const Batch& batch, const StepOutput& output) override;
  Status propose(const ProposeRequest& request, ProposeResult* result) override;
  void limit_threads(int threads) noexcept override { pool_.limit(threads); }
  int64_t workspace_bytes() const override { return workspace_.bytes(); }

 private:
  CpuRunner(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena, const RunnerOptions& options,
            int64_t layers);

  bool is_beginning() const { return layers_ < spec().layers; }
  Status run(const Batch& batch, const StepOutput& output);
  Status begin_step(const Batch& batch, const StepOutput& output);
  // The body every thread runs; see cpu_runner.cc for the phases.
  void run_step(Team& team);
  void run_layer(int64_t index, Team& team);
  void project_heads(int64_t index, Team& team);
  void attend(int64_t index, bool is_last, int64_t rows, Team& team);
  void feed_forward(int64_t index, int64_t rows, Team& team);
  void embed_and_angles(Team& team);
  void write_angles(int64_t table, int64_t token, int64_t position);
  // kv_head: among those that the layer keeps, here and below.
  const KvArena::Member& member_of(int64_t layer, int64_t kv_head) const;
  void rotate_and_store(int64_t layer, Team& team);
  void rotate_group(int64_t layer, int64_t token, int64_t kv_head);
  void store_key_value(int64_t layer, int64_t token, int64_t kv_head);
  void norm_rows(Team& team, int64_t rows, const std::vector<float>& weight, bool quantize);
  void activate_rows(Team& team, const AirActivations& hidden, bool quantize);
  void add_to_residual(Team& team, int64_t rows, const std::vector<float>& bias);
  // sums[c] += sum over rows of x.values[row, c]^2
  void add_squares(Team& team, const AirActivations& x, float* sums);
  void keep_logit_rows(Team& team);
  void write_hidden(Team& team, int64_t rows);

  const AirKernelTable& kernels_;
  const int64_t layers_;
  Workspace workspace_;
  ThreadPool pool_;
  std::unique_ptr<Attention> attention_;
  std::unique_ptr<PageMass> page_mass_;
  std::vector<float> draft_logits_;  // scratch of propose()

  // The step at hand.
  const Batch* batch_ = nullptr;
  StepOutput output_;
  std::vector<ReadRange> ranges_;  // [groups, tokens]
  std::vector<int32_t> all_rows_;  // 0 .. max_tokens - 1
  Attention::Plan all_plan_;       // every token
  Attention::Plan logit_plan_;     // the asked rows, for the last layer
  std::atomic<bool> stop_{false};  // the forward was cancelled; set between layers
};

}  // namespace air

#endif  // AIR_CORE_CPU_RUNNER_H_
