#include "native/cuda/runner.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "native/core/half.h"
#include "native/cuda/step_inputs.h"

namespace air::cuda {

namespace {

// Kinds of steps that are remembered; texts that grow bring a new one at every power of two.
constexpr size_t kMaxVariants = 64;

bool is_graph(const StepKind& kind) { return kind.tokens <= kMaxGraphTokens; }

// A graph gives logits only.
bool asks_more_than_logits(const StepOutput& output) {
  return output.attended_squares != nullptr || output.hidden != nullptr || output.page_mass != nullptr;
}

// Rows whose logits are asked for, the first ones.
int64_t logit_count(const Batch& batch, const StepOutput& output) {
  return output.logit_count < 0 ? batch.row_count() : output.logit_count;
}

}  // namespace

CudaRunner::CudaRunner(std::shared_ptr<const DeviceModel> device, std::shared_ptr<KvArena> arena,
                       const RunnerOptions& options)
    : Runner(std::move(arena), options), device_(std::move(device)) {}

CudaRunner::~CudaRunner() {
  // Nothing may be under way when its memory goes.
  if (launcher_.stream().handle() == nullptr) return;
  const Context::Scope scope(context());
  (void)launcher_.stream().synchronize();
}

Status CudaRunner::create(std::shared_ptr<const DeviceModel> device, const AirKernelTable* host_kernels,
                          std::shared_ptr<KvArena> arena, const RunnerOptions& options,
                          std::unique_ptr<Runner>* runner) try {
  auto created = std::unique_ptr<CudaRunner>(new CudaRunner(std::move(device), std::move(arena), options));
  AIR_RETURN_IF_ERROR(created->allocate(host_kernels));
  *runner = std::move(created);
  return {};
} catch (const std::bad_alloc&) {
  return {StatusCode::kOutOfMemory, "expected memory for a runner but the system refused it"};
}

Status CudaRunner::allocate(const AirKernelTable* host_kernels) {
  const DecoderSpec& numbers = spec();
  const int64_t first_layer = device_->first_layer();
  for (int64_t index = first_layer; index < numbers.layers; ++index) {
    const LayerWeights& layer = model().layers()[static_cast<size_t>(index)];
    if (layer.shape.query_count() * numbers.head_dim % 8 == 0) continue;
    return {StatusCode::kUnsupported,
            "expected heads of a multiple of 8 dims together for a CUDA device but received " +
                std::to_string(layer.shape.query_count() * numbers.head_dim)};
  }
  const Context::Scope scope(context());
  AIR_RETURN_IF_ERROR(scope.status());
  AIR_RETURN_IF_ERROR(context().usable());
  AIR_RETURN_IF_ERROR(launcher_.create(device_->kernels()));
  const int64_t tokens = std::max((options().max_tokens + 7) / 8 * 8, kMaxGraphTokens);
  if (first_layer > 0) {
    AIR_RETURN_IF_ERROR(
        CpuRunner::create_beginning(*host_kernels, shared_arena(), options(), first_layer, &host_));
    AIR_RETURN_IF_ERROR(host_residual_.allocate(device_->shared_context(),
                                                tokens * numbers.embedding_length * int64_t{sizeof(float)},
                                                "activations"));
  }
  AIR_RETURN_IF_ERROR(activations_.allocate(*device_, model(), tokens));
  AIR_RETURN_IF_ERROR(forward_.create(*device_, arena(), activations_, launcher_));
  const StepLayout largest(
      {tokens, arena().group_count(), numbers.rope_dims / 2, numbers.layers * numbers.query_heads});
  const std::shared_ptr<Context>& shared = device_->shared_context();
  AIR_RETURN_IF_ERROR(block_.allocate(shared, largest.bytes, "a step's inputs"));
  AIR_RETURN_IF_ERROR(host_block_.allocate(shared, largest.bytes, "a step's inputs"));
  AIR_RETURN_IF_ERROR(
      probabilities_.allocate(shared, tokens * int64_t{sizeof(float)}, "probabilities of drafts"));
  for (Event& pace : paces_) AIR_RETURN_IF_ERROR(pace.create(shared));
  return {};
}

void CudaRunner::limit_threads(int threads) noexcept {
  if (host_ != nullptr) host_->limit_threads(threads);
}

void CudaRunner::cancel() noexcept {
  Runner::cancel();
  if (host_ != nullptr) host_->cancel();
}

void CudaRunner::clear_cancel() noexcept {
  Runner::clear_cancel();
  if (host_ != nullptr) host_->clear_cancel();
}

int64_t CudaRunner::workspace_bytes() const {
  int64_t bytes = activations_.bytes() + host_block_.bytes() + host_tables_.bytes() + host_drafted_.bytes() +
                  page_mass_.bytes() + host_residual_.bytes();
  if (host_ != nullptr) bytes += host_->workspace_bytes();
  for (const DeviceBuffer* buffer :
       {&block_, &page_tables_, &partials_, &stats_, &chain_, &drafted_, &probabilities_})
    bytes += buffer->bytes();
  return bytes;
}

StepMemory CudaRunner::memory() const {
  return {block_.address(), page_tables_.address(), partials_.address(), stats_.address()};
}

// Growth moves the buffer, so graphs that know its address go.
Status CudaRunner::reserve(DeviceBuffer* buffer, int64_t bytes, const char* purpose) {
  if (bytes <= buffer->bytes()) return {};
  AIR_RETURN_IF_ERROR(launcher_.stream().synchronize());
  for (auto& [key, variant] : variants_) {
    variant->graph.reset();
    variant->drafting.reset();
  }
  return buffer->allocate(device_->shared_context(), std::max(bytes, 2 * buffer->bytes()), purpose);
}

Status CudaRunner::upload_tables(const std::vector<const Batch*>& batches) {
  int64_t bytes = 0;
  for (const Batch* batch : batches)
    bytes += static_cast<int64_t>(batch->page_tables.size() * sizeof(int32_t));
  AIR_RETURN_IF_ERROR(reserve(&page_tables_, bytes, "page tables"));
  if (host_tables_.bytes() < page_tables_.bytes())
    AIR_RETURN_IF_ERROR(
        host_tables_.allocate(device_->shared_context(), page_tables_.bytes(), "page tables"));
  auto* to = reinterpret_cast<int32_t*>(host_tables_.data());
  for (const Batch* batch : batches) to = std::copy(batch->page_tables.begin(), batch->page_tables.end(), to);
  return launcher_.stream().to_device(page_tables_.address(), host_tables_.data(), bytes);
}

void CudaRunner::forget_variants() {
  if (variants_.size() >= kMaxVariants) variants_.clear();
}

Status CudaRunner::prepare(const Batch& batch, Variant** variant) {
  const StepKind kind = kind_of(batch, arena());
  auto found = variants_.find(kind.key());
  if (found == variants_.end()) {
    auto made = std::make_unique<Variant>();
    AIR_RETURN_IF_ERROR(
        StepPlan::make(kind, arena(), context().device(), device_->first_layer(), &made->plan));
    found = variants_.emplace(kind.key(), std::move(made)).first;
  }
  *variant = found->second.get();
  AIR_RETURN_IF_ERROR(reserve(&partials_, (*variant)->plan.partial_bytes, "partial attention"));
  return reserve(&stats_, (*variant)->plan.stats_bytes, "partial attention");
}

Status CudaRunner::forward(const Batch& batch, const StepOutput& output) try {
  AIR_RETURN_IF_ERROR(check_batch(batch, arena(), options().max_tokens, options().max_sequences, &ranges_));
  AIR_RETURN_IF_ERROR(check_output(batch, output, model()));
  AIR_RETURN_IF_ERROR(model().check_files());
  AIR_RETURN_IF_ERROR(context().usable());
  const Context::Scope scope(context());
  AIR_RETURN_IF_ERROR(scope.status());
  const Status status = run_step(batch, output);
  // What was queued before a failure still reads and writes memory that the next step uses.
  if (!status.ok()) (void)launcher_.stream().synchronize();
  return status;
} catch (const std::bad_alloc&) {
  return {StatusCode::kOutOfMemory, "expected memory for a step but the system refused it"};
}

Status CudaRunner::run_step(const Batch& batch, const StepOutput& output) {
  if (is_cancelled()) return {StatusCode::kCancelled, "the forward was cancelled"};
  if (host_ != nullptr) AIR_RETURN_IF_ERROR(run_host(batch, output));
  forget_variants();
  Variant* variant = nullptr;
  AIR_RETURN_IF_ERROR(prepare(batch, &variant));
  AIR_RETURN_IF_ERROR(upload_tables({&batch}));
  fill_step(variant->plan, {batch, ranges_, {}, 0}, arena(), host_block_.data());
  AIR_RETURN_IF_ERROR(
      launcher_.stream().to_device(block_.address(), host_block_.data(), variant->plan.layout.bytes));
  if (!is_graph(variant->plan.kind) || asks_more_than_logits(output))
    return run_eager(batch, output, variant->plan);
  AIR_RETURN_IF_ERROR(launch_graph(variant, false));
  const int64_t bytes = logit_count(batch, output) * spec().vocab_size * int64_t{sizeof(float)};
  AIR_RETURN_IF_ERROR(launcher_.stream().to_host(output.logits, activations_.logits, bytes));
  return launcher_.stream().synchronize();
}

Status CudaRunner::run_host(const Batch& batch, const StepOutput& output) {
  StepOutput of_host;
  of_host.attended_squares = output.attended_squares;
  of_host.hidden_squares = output.hidden_squares;
  if (output.page_mass != nullptr) {
    host_mass_.resize(batch.page_tables.size());
    of_host.page_mass = host_mass_.data();
  }
  const float* residual = nullptr;
  AIR_RETURN_IF_ERROR(host_->begin(batch, of_host, &residual));
  const int64_t bytes = batch.token_count() * spec().embedding_length * int64_t{sizeof(float)};
  std::memcpy(host_residual_.data(), residual, static_cast<size_t>(bytes));
  return launcher_.stream().to_device(activations_.residual, host_residual_.data(), bytes);
}

Status CudaRunner::run_eager(const Batch& batch, const StepOutput& output, const StepPlan& plan) {
  const LayerHooks hooks = hooks_for(batch, output);
  if (output.page_mass != nullptr) {
    AIR_RETURN_IF_ERROR(page_mass_.begin_step(device_->shared_context(), batch, arena(),
                                              host_ == nullptr ? nullptr : host_mass_.data(), launcher_));
  }
  AIR_RETURN_IF_ERROR(forward_.layers(plan, memory(), hooks));
  if (output.page_mass != nullptr) AIR_RETURN_IF_ERROR(page_mass_.write(output.page_mass, launcher_));
  if (output.hidden != nullptr) {
    const int64_t bytes = batch.row_count() * spec().embedding_length * int64_t{sizeof(float)};
    AIR_RETURN_IF_ERROR(launcher_.stream().to_host(output.hidden, activations_.residual, bytes));
  }
  return read_logits(logit_count(batch, output), output.logits);
}

// A large step's logits in pieces, as they may be larger than all activations together.
Status CudaRunner::read_logits(int64_t rows, float* out) {
  const int64_t vocab_size = spec().vocab_size;
  for (int64_t first = 0; first < rows; first += activations_.logit_rows) {
    const int64_t count = std::min(activations_.logit_rows, rows - first);
    AIR_RETURN_IF_ERROR(forward_.logits(first, count));
    AIR_RETURN_IF_ERROR(launcher_.stream().to_host(out + first * vocab_size, activations_.logits,
                                                   count * vocab_size * int64_t{sizeof(float)}));
  }
  return launcher_.stream().synchronize();
}

Status CudaRunner::launch_graph(Variant* variant, bool is_drafting) {
  std::unique_ptr<Graph>& graph = is_drafting ? variant->drafting : variant->graph;
  if (graph == nullptr) {
    auto recorded = std::make_unique<Graph>();
    const auto enqueue = [&] {
      const LayerHooks none;
      AIR_RETURN_IF_ERROR(forward_.layers(variant->plan, memory(), none));
      if (variant->plan.kind.rows == 0) return Status();
      AIR_RETURN_IF_ERROR(forward_.logits(0, variant->plan.kind.rows));
      return is_drafting ? forward_.peaks(variant->plan, memory(), probabilities_.address()) : Status();
    };
    launcher_.rehearse(true);
    const Status found = enqueue();
    launcher_.rehearse(false);
    AIR_RETURN_IF_ERROR(found);
    AIR_RETURN_IF_ERROR(recorded->record(device_->shared_context(), launcher_.stream(), enqueue));
    graph = std::move(recorded);
    ++recorded_graphs_;
  }
  return graph->launch(launcher_.stream());
}

// The host runs at most two layers ahead, so that a cancelled step ends soon.
LayerHooks CudaRunner::hooks_for(const Batch& batch, const StepOutput& output) {
  LayerHooks hooks;
  hooks.before = [this](int64_t layer) -> Status {
    Event& pace = paces_[layer % 2];
    if (layer >= 2) AIR_RETURN_IF_ERROR(pace.synchronize());
    if (is_cancelled()) return {StatusCode::kCancelled, "the forward was cancelled"};
    return pace.record(launcher_.stream());
  };
  hooks.keeps_states = output.hidden != nullptr;
  if (output.page_mass != nullptr) {
    hooks.rotated = [this](const AttentionParams& attention) {
      return page_mass_.add_layer(attention, launcher_);
    };
  }
  if (output.attended_squares == nullptr) return hooks;
  const int64_t rows = batch.token_count();
  hooks.attended = [this, rows, sums = output.attended_squares](int64_t layer, int64_t columns) {
    return add_squares(activations_.attended, rows, columns, columns, sums + layer * columns);
  };
  hooks.hidden = [this, rows, sums = output.hidden_squares](int64_t layer, int64_t columns) {
    return add_squares(activations_.hidden, rows, columns, activations_.hidden_stride,
                       sums + layer * columns);
  };
  return hooks;
}

// sums[c] += sum over rows of x[row, c]^2, in float64 and in order of the rows. x: binary16 on the device
Status CudaRunner::add_squares(DevicePointer x, int64_t row_count, int64_t columns, int64_t stride,
                               float* sums) {
  std::vector<uint16_t> rows(static_cast<size_t>(row_count * stride));
  const auto bytes = static_cast<int64_t>(rows.size() * sizeof(uint16_t));
  AIR_RETURN_IF_ERROR(launcher_.stream().to_host(rows.data(), x, bytes));
  AIR_RETURN_IF_ERROR(launcher_.stream().synchronize());
  for (int64_t column = 0; column < columns; ++column) {
    double squares = 0;
    for (int64_t row = 0; row < row_count; ++row) {
      const double value = half_to_float(rows[static_cast<size_t>(row * stride + column)]);
      squares += value * value;
    }
    sums[column] = static_cast<float>(sums[column] + squares);
  }
  return {};
}

}  // namespace air::cuda
