// The forward pass over a model and an arena, one step at a time: what the binding and drafting know of a device.
#ifndef AIR_CORE_RUNNER_H_
#define AIR_CORE_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "native/core/batch.h"
#include "native/core/kv_arena.h"
#include "native/core/model.h"
#include "native/core/status.h"
#include "native/core/thread_placement.h"

namespace air {

struct ProposeRequest;
struct ProposeResult;

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
  virtual ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Makes the calling thread the one that is to call forward(), for good.
  virtual Status adopt_this_thread() = 0;

  // Computes one step and writes the asked rows to the output. Not reentrant. Activity needs the logits of every
  // token, as the last layer computes no others, and a model that is not pruned: AIR_ERR_ARGUMENT otherwise.
  // After an error or AIR_ERR_CANCELLED the step's slots hold unspecified bytes and must be treated as unwritten.
  virtual Status forward(const Batch& batch, const StepOutput& output) = 0;

  // Computes the batch, takes the likeliest token of each row, feeds it back, and so on (native/core/propose.h).
  virtual Status propose(const ProposeRequest& request, ProposeResult* result) = 0;

  // From any thread: later steps are computed by so many of the threads, which changes nothing but their time.
  virtual void limit_threads(int threads) noexcept = 0;

  // Bytes of activations and scratch.
  virtual int64_t workspace_bytes() const = 0;

  // From any thread: the forward in flight stops before its next layer. Sticky until clear_cancel().
  virtual void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  virtual void clear_cancel() noexcept { cancelled_.store(false, std::memory_order_relaxed); }

  const DecoderSpec& spec() const { return model_->spec(); }
  const Model& model() const { return *model_; }
  const KvArena& arena() const { return *arena_; }
  const RunnerOptions& options() const { return options_; }

 protected:
  Runner(std::shared_ptr<KvArena> arena, RunnerOptions options)
      : arena_(std::move(arena)), model_(arena_->model()), options_(std::move(options)) {}

  KvArena& mutable_arena() { return *arena_; }
  const std::shared_ptr<KvArena>& shared_arena() const { return arena_; }
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

 private:
  const std::shared_ptr<KvArena> arena_;
  const std::shared_ptr<const Model> model_;
  const RunnerOptions options_;
  std::atomic<bool> cancelled_{false};
};

// Whether the model and the batch allow what the output asks for: AIR_ERR_ARGUMENT otherwise.
Status check_output(const Batch& batch, const StepOutput& output, const Model& model);

}  // namespace air

#endif  // AIR_CORE_RUNNER_H_
