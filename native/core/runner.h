// The forward pass: activations of one step at a time over a model and an arena.
#ifndef AIR_CORE_RUNNER_H_
#define AIR_CORE_RUNNER_H_

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
#include "native/core/status.h"
#include "native/core/thread_placement.h"
#include "native/core/thread_pool.h"
#include "native/core/workspace.h"

namespace air {

struct RunnerOptions {
  int64_t max_tokens = 0;
  int64_t max_sequences = 0;
  int threads = 1;
  ThreadPlacement placement;
};

// Where the results of a step go.
struct StepOutput {
  float* logits = nullptr;  // [logit_count, vocab_size] of the first asked rows
  // The activity of lib/native/native.ts, added to what is there; unspecified after a failure. Both or neither.
  float* attended_squares = nullptr;  // [layers, query_heads * head_dim]
  float* hidden_squares = nullptr;    // [layers, feed_forward_length]
  float* page_mass = nullptr;         // [groups, sequences, pages per table] see PageMass; or null
  int64_t logit_count = -1;           // -1: all asked rows
  float* hidden = nullptr;  // [batch.row_count(), embedding_length] what the output matrix is given; or null
};

class Runner {
 public:
  // AIR_ERR_UNSUPPORTED when the model's weights were packed for kernels that read another layout.
  static Status create(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                       const RunnerOptions& options, std::unique_ptr<Runner>* runner);

  // Makes the calling thread compute thread 0, the one that is to call forward(), for good.
  Status adopt_this_thread() const { return place_this_thread(options_.placement, 0); }

  // Computes one step and writes the asked rows to the output. Not reentrant. Activity needs the logits of every
  // token, as the last layer computes no others, and a model that is not pruned: AIR_ERR_ARGUMENT otherwise.
  // After an error or AIR_ERR_CANCELLED the step's slots hold unspecified bytes and must be treated as unwritten.
  Status forward(const Batch& batch, const StepOutput& output);

  // From any thread: the forward in flight stops before its next layer. Sticky until clear_cancel().
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  void clear_cancel() noexcept { cancelled_.store(false, std::memory_order_relaxed); }

  // From any thread: later steps are computed by so many of the threads, which changes nothing but their time.
  void limit_threads(int threads) noexcept { pool_.limit(threads); }

  const DecoderSpec& spec() const { return model_->spec(); }
  const KvArena& arena() const { return *arena_; }
  const RunnerOptions& options() const { return options_; }
  int64_t workspace_bytes() const { return workspace_.bytes(); }

 private:
  Runner(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena, const RunnerOptions& options);

  Status begin_step(const Batch& batch, const StepOutput& output);
  // The body every thread runs; see runner.cc for the phases.
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
  std::shared_ptr<KvArena> arena_;
  std::shared_ptr<const Model> model_;
  const RunnerOptions options_;
  Workspace workspace_;
  ThreadPool pool_;
  std::unique_ptr<Attention> attention_;
  std::unique_ptr<PageMass> page_mass_;
  std::atomic<bool> cancelled_{false};

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

#endif  // AIR_CORE_RUNNER_H_
