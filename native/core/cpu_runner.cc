#include "native/core/cpu_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "native/core/hadamard.h"
#include "native/core/products.h"
#include "native/core/propose.h"
#include "native/core/weights/pack.h"

namespace air {

namespace {

bool is_integer(const Linear& linear) {
  return linear.weight.weight_class == AIR_WEIGHT_INT4 || linear.weight.weight_class == AIR_WEIGHT_INT8;
}

}  // namespace

CpuRunner::CpuRunner(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                     const RunnerOptions& options, int64_t layers)
    : Runner(std::move(arena), options), kernels_(kernels), layers_(layers) {}

Status CpuRunner::create(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                         const RunnerOptions& options, std::unique_ptr<Runner>* runner) {
  const int64_t layers = arena->model()->spec().layers;
  std::unique_ptr<CpuRunner> created;
  AIR_RETURN_IF_ERROR(create_beginning(kernels, std::move(arena), options, layers, &created));
  *runner = std::move(created);
  return {};
}

Status CpuRunner::create_beginning(const AirKernelTable& kernels, std::shared_ptr<KvArena> arena,
                                   const RunnerOptions& options, int64_t layers,
                                   std::unique_ptr<CpuRunner>* runner) try {
  if (kernels.layout != arena->model()->layout()) {
    return {StatusCode::kUnsupported,
            std::string("expected an instruction set that reads ") + layout_name(arena->model()->layout()) +
                " weights, as this model's were packed, but received " + kernels.isa};
  }
  auto created = std::unique_ptr<CpuRunner>(new CpuRunner(kernels, std::move(arena), options, layers));
  AIR_RETURN_IF_ERROR(
      created->workspace_.allocate(created->spec(), options.max_tokens, created->arena().group_count()));
  AIR_RETURN_IF_ERROR(created->pool_.start(options.threads, options.placement));
  created->attention_ =
      std::make_unique<Attention>(kernels, created->mutable_arena(), created->workspace_, options.threads);
  created->page_mass_ =
      std::make_unique<PageMass>(kernels, created->mutable_arena(), created->workspace_, options.threads);
  created->all_rows_.resize(static_cast<size_t>(options.max_tokens));
  std::iota(created->all_rows_.begin(), created->all_rows_.end(), 0);
  *runner = std::move(created);
  return {};
} catch (const std::bad_alloc&) {
  return {StatusCode::kOutOfMemory, "expected memory for a runner but the system refused it"};
}

Status CpuRunner::forward(const Batch& batch, const StepOutput& output) {
  if (is_beginning()) return {StatusCode::kInternal, "expected a runner of all layers"};
  return run(batch, output);
}

Status CpuRunner::begin(const Batch& batch, const StepOutput& output, const float** residual) {
  *residual = workspace_.residual;
  return run(batch, output);
}

Status CpuRunner::run(const Batch& batch, const StepOutput& output) {
  AIR_RETURN_IF_ERROR(begin_step(batch, output));
  pool_.run([this](Team& team) { run_step(team); });
  if (stop_.load(std::memory_order_relaxed)) return {StatusCode::kCancelled, "the forward was cancelled"};
  return {};
}

Status CpuRunner::propose(const ProposeRequest& request, ProposeResult* result) {
  return propose_by_steps(*this, request, &draft_logits_, result);
}

// All that may allocate happens here, before the team starts.
Status CpuRunner::begin_step(const Batch& batch, const StepOutput& output) try {
  AIR_RETURN_IF_ERROR(check_batch(batch, arena(), options().max_tokens, options().max_sequences, &ranges_));
  AIR_RETURN_IF_ERROR(check_output(batch, output, model()));
  AIR_RETURN_IF_ERROR(model().check_files());
  batch_ = &batch;
  output_ = output;
  stop_.store(false, std::memory_order_relaxed);
  if (output.page_mass != nullptr) page_mass_->begin_step(batch, ranges_);
  attention_->begin_step(batch, ranges_);
  attention_->make_plan(all_rows_.data(), batch.token_count(), &all_plan_);
  attention_->make_plan(batch.logit_rows.data(), batch.row_count(), &logit_plan_);
  return {};
} catch (const std::bad_alloc&) {
  return {StatusCode::kOutOfMemory, "expected memory for a step but the system refused it"};
}

// Each phase below is a loop that all threads share. Whatever decides a loop's length comes from the batch: a
// thread that was away for a while walks through the loops it missed.
void CpuRunner::run_step(Team& team) {
  embed_and_angles(team);
  for (int64_t layer = 0; layer < layers_; ++layer) {
    if (stop_.load(std::memory_order_relaxed)) return;
    run_layer(layer, team);
  }
  if (is_beginning()) {
    if (output_.page_mass != nullptr) page_mass_->write_sums(output_.page_mass, team);
    return;
  }
  if (output_.page_mass != nullptr) page_mass_->write(output_.page_mass, team);
  const int64_t rows = batch_->row_count();
  norm_rows(team, rows, model().output_norm(), is_integer(model().output()));
  if (output_.hidden != nullptr) write_hidden(team, rows);
  const int64_t logit_count = output_.logit_count < 0 ? rows : output_.logit_count;
  if (logit_count == 0) return;
  const AirActivations normed = workspace_.normed.view(logit_count);
  const Product product{&model().output(), &normed, output_.logits, AIR_STORE_SET};
  multiply(team, kernels_, logit_count, &product, 1);
}

void CpuRunner::run_layer(int64_t index, Team& team) {
  const bool has_heads = !model().layers()[static_cast<size_t>(index)].shape.query_heads.empty();
  if (has_heads) project_heads(index, team);
  if (has_heads && output_.page_mass != nullptr) page_mass_->add_layer(index, team);
  // From here on each row stands alone, so the last layer goes on with the asked rows only, if any.
  const bool is_last = index + 1 == spec().layers;
  const int64_t rows = is_last ? batch_->row_count() : batch_->token_count();
  if (is_last) keep_logit_rows(team);
  if (has_heads) {
    attend(index, is_last, rows, team);
  } else {
    add_to_residual(team, rows, model().layers()[static_cast<size_t>(index)].o.bias);
  }
  feed_forward(index, rows, team);
}

void CpuRunner::project_heads(int64_t index, Team& team) {
  const LayerWeights& layer = model().layers()[static_cast<size_t>(index)];
  const int64_t tokens = batch_->token_count();
  const AirActivations normed = workspace_.normed.view(tokens);
  norm_rows(team, tokens, layer.attention_norm,
            is_integer(layer.q) || is_integer(layer.k) || is_integer(layer.v));
  const Product projections[] = {{&layer.q, &normed, workspace_.q, AIR_STORE_SET},
                                 {&layer.k, &normed, workspace_.k, AIR_STORE_SET},
                                 {&layer.v, &normed, workspace_.v, AIR_STORE_SET}};
  multiply(team, kernels_, tokens, projections, 3);
  rotate_and_store(index, team);
}

void CpuRunner::attend(int64_t index, bool is_last, int64_t rows, Team& team) {
  const LayerWeights& layer = model().layers()[static_cast<size_t>(index)];
  attention_->run_layer(index, is_last ? logit_plan_ : all_plan_, is_integer(layer.o), team);
  const AirActivations attended = workspace_.attended.view(rows, layer.o.weight.cols);
  if (output_.attended_squares != nullptr) {
    add_squares(team, attended, output_.attended_squares + index * attended.cols);
  }
  const Product output{&layer.o, &attended, workspace_.residual, AIR_STORE_ADD};
  multiply(team, kernels_, rows, &output, 1);
}

void CpuRunner::feed_forward(int64_t index, int64_t rows, Team& team) {
  const LayerWeights& layer = model().layers()[static_cast<size_t>(index)];
  const AirActivations normed = workspace_.normed.view(rows);
  norm_rows(team, rows, layer.feed_forward_norm, is_integer(layer.gate) || is_integer(layer.up));
  const Product expansions[] = {{&layer.gate, &normed, workspace_.gate, AIR_STORE_SET},
                                {&layer.up, &normed, workspace_.up, AIR_STORE_SET}};
  multiply(team, kernels_, rows, expansions, 2);
  const AirActivations hidden = workspace_.hidden.view(rows, layer.shape.feed_forward_length);
  activate_rows(team, hidden, is_integer(layer.down));
  if (output_.hidden_squares != nullptr) {
    add_squares(team, hidden, output_.hidden_squares + index * hidden.cols);
  }
  const Product contraction{&layer.down, &hidden, workspace_.residual, AIR_STORE_ADD};
  multiply(team, kernels_, rows, &contraction, 1);
}

void CpuRunner::embed_and_angles(Team& team) {
  const int64_t tokens = batch_->token_count();
  team.for_each(tokens, 1, [&](int64_t token, int64_t) {
    const auto index = static_cast<size_t>(token);
    model().embed(batch_->tokens[index], workspace_.residual + token * spec().embedding_length);
    const int32_t position = batch_->positions[index];
    write_angles(0, token, position);
    for (int64_t group = 0; group < arena().group_count(); ++group) {
      const ReadRange& range = ranges_[static_cast<size_t>(group * tokens + token)];
      if (range.sink_tokens > 0) write_angles(1 + group, token, position - range.sink_shift);
    }
  });
}

// Angles are computed in float64: at position 1e6 a float32 angle would be off by 0.03 radians.
void CpuRunner::write_angles(int64_t table, int64_t token, int64_t position) {
  const int64_t pairs = spec().rope_dims / 2;
  const int64_t at = (table * options().max_tokens + token) * pairs;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const double angle =
        static_cast<double>(position) * spec().rope_inverse_frequencies[static_cast<size_t>(pair)];
    workspace_.cosines[at + pair] = static_cast<float>(std::cos(angle) * spec().rope_attention_factor);
    workspace_.sines[at + pair] = static_cast<float>(std::sin(angle) * spec().rope_attention_factor);
  }
}

void CpuRunner::norm_rows(Team& team, int64_t rows, const std::vector<float>& weight, bool quantize) {
  const QuantizedRows& out = workspace_.normed;
  team.for_each(rows, 1, [&](int64_t row, int64_t) {
    float* normed = out.values + row * out.cols;
    kernels_.rms_norm(workspace_.residual + row * out.cols, weight.data(), spec().norm_epsilon, out.cols,
                      normed);
    if (quantize) out.quantize(kernels_, row * out.cols, out.cols);
  });
  // A cancelled forward stops between layers; this loop is in every one of them.
  if (is_cancelled()) stop_.store(true, std::memory_order_relaxed);
}

void CpuRunner::activate_rows(Team& team, const AirActivations& hidden, bool quantize) {
  const QuantizedRows& out = workspace_.hidden;
  // Pieces of a row, so that one decoded token keeps every thread busy; whole groups of 32 when quantising.
  const int64_t groups = (hidden.cols + AIR_GROUP - 1) / AIR_GROUP;
  const int64_t piece = (groups + team.threads() - 1) / team.threads() * AIR_GROUP;
  const int64_t pieces = (hidden.cols + piece - 1) / piece;
  team.for_each(hidden.rows * pieces, 1, [&](int64_t item, int64_t) {
    const int64_t first = item % pieces * piece;
    const int64_t at = item / pieces * hidden.cols + first;
    const int64_t count = std::min(piece, hidden.cols - first);
    kernels_.silu_mul(workspace_.gate + at, workspace_.up + at, count, out.values + at);
    if (quantize) out.quantize(kernels_, at, count);
  });
}

// What a layer without heads has instead of W x + bias.
void CpuRunner::add_to_residual(Team& team, int64_t rows, const std::vector<float>& bias) {
  if (bias.empty()) return;
  const int64_t width = spec().embedding_length;
  team.for_each(rows, 1, [&](int64_t row, int64_t) {
    float* residual = workspace_.residual + row * width;
    for (int64_t col = 0; col < width; ++col) residual[col] += bias[static_cast<size_t>(col)];
  });
}

// In float64 and in order of the rows, so that neither threads nor the length of a text show.
void CpuRunner::add_squares(Team& team, const AirActivations& x, float* sums) {
  constexpr int64_t kPiece = 128;
  team.for_each((x.cols + kPiece - 1) / kPiece, 1, [&](int64_t piece, int64_t) {
    const int64_t first = piece * kPiece;
    const int64_t count = std::min(kPiece, x.cols - first);
    double squares[kPiece] = {};
    for (int64_t row = 0; row < x.rows; ++row) {
      const float* values = x.values + row * x.cols + first;
      for (int64_t col = 0; col < count; ++col)
        squares[col] += static_cast<double>(values[col]) * values[col];
    }
    for (int64_t col = 0; col < count; ++col) {
      sums[first + col] = static_cast<float>(sums[first + col] + squares[col]);
    }
  });
}

void CpuRunner::rotate_and_store(int64_t layer, Team& team) {
  const int64_t kv_count = model().layers()[static_cast<size_t>(layer)].shape.kv_count();
  team.for_each(batch_->token_count() * kv_count, 1, [&](int64_t item, int64_t) {
    const int64_t token = item / kv_count;
    const int64_t kv_head = item % kv_count;
    if (member_of(layer, kv_head).group < 0) return;
    store_key_value(layer, token, kv_head);
    rotate_group(layer, token, kv_head);
  });
}

const KvArena::Member& CpuRunner::member_of(int64_t layer, int64_t kv_head) const {
  const LayerShape& shape = model().layers()[static_cast<size_t>(layer)].shape;
  return arena().member(layer, shape.kv_heads[static_cast<size_t>(kv_head)].index);
}

void CpuRunner::store_key_value(int64_t layer, int64_t token, int64_t kv_head) {
  const KvArena::Member& member = member_of(layer, kv_head);
  const int32_t slot = batch_->slots[static_cast<size_t>(member.group * batch_->token_count() + token)];
  if (slot < 0) return;
  alignas(64) float key[AIR_MAX_HEAD_DIM];
  alignas(64) float value[AIR_MAX_HEAD_DIM];
  const int64_t head_dim = spec().head_dim;
  const int64_t padded = spec().padded_head_dim();
  const int64_t kv_count = model().layers()[static_cast<size_t>(layer)].shape.kv_count();
  const int64_t at = (token * kv_count + kv_head) * head_dim;
  std::copy_n(workspace_.k + at, head_dim, key);
  std::copy_n(workspace_.v + at, head_dim, value);
  std::fill(key + head_dim, key + padded, 0.0F);
  std::fill(value + head_dim, value + padded, 0.0F);
  const int64_t angles = token * (spec().rope_dims / 2);
  kernels_.rope(key, 1, padded, spec().rope_dims, workspace_.cosines + angles, workspace_.sines + angles,
                spec().rope_pairing);
  if (arena().rotates_keys()) hadamard_transform(key, padded);
  const AirKvLayout& layout = arena().layout();
  const int64_t page_bytes = arena().member_page_stride(member);
  uint8_t* page = mutable_arena().member_pages(member) + slot / layout.page_tokens * page_bytes;
  kernels_.kv_write(&layout, page, slot % layout.page_tokens, key, value);
}

// Scales, pads and rotates the query heads of one KV head, for its window and, when there are sinks, for them.
void CpuRunner::rotate_group(int64_t layer, int64_t token, int64_t kv_head) {
  const LayerShape& shape = model().layers()[static_cast<size_t>(layer)].shape;
  const LayerShape::KvHead& kept = shape.kv_heads[static_cast<size_t>(kv_head)];
  const int64_t heads = kept.query_count;
  const int64_t head_dim = spec().head_dim;
  const int64_t padded = spec().padded_head_dim();
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  const int32_t group = member_of(layer, kv_head).group;
  const ReadRange& range = ranges_[static_cast<size_t>(group * batch_->token_count() + token)];
  const int64_t first = token * shape.query_count() + kept.first_query;
  const auto rotate = [&](const QuantizedRows& out, int64_t table) {
    float* rotated = out.values + first * padded;
    for (int64_t head = 0; head < heads; ++head) {
      const float* q = workspace_.q + (first + head) * head_dim;
      float* to = rotated + head * padded;
      for (int64_t d = 0; d < head_dim; ++d) to[d] = q[d] * scale;
      std::fill(to + head_dim, to + padded, 0.0F);
    }
    const int64_t angles = (table * options().max_tokens + token) * (spec().rope_dims / 2);
    kernels_.rope(rotated, heads, padded, spec().rope_dims, workspace_.cosines + angles,
                  workspace_.sines + angles, spec().rope_pairing);
    if (arena().rotates_keys()) {
      for (int64_t head = 0; head < heads; ++head) hadamard_transform(rotated + head * padded, padded);
    }
    if (arena().layout().key_type != AIR_KV_F16) out.quantize(kernels_, first * padded, heads * padded);
  };
  rotate(workspace_.rotated, 0);
  if (range.sink_tokens > 0) rotate(workspace_.rotated_sink, 1 + group);
}

// The rows as they are before they are rounded for the output matrix.
void CpuRunner::write_hidden(Team& team, int64_t rows) {
  const int64_t width = spec().embedding_length;
  team.for_each(rows, 1, [&](int64_t row, int64_t) {
    std::memcpy(output_.hidden + row * width, workspace_.normed.values + row * width,
                static_cast<size_t>(width) * sizeof(float));
  });
}

// Moves the residual rows that have logits to the front; row indices ascend, so no row is overwritten unread.
void CpuRunner::keep_logit_rows(Team& team) {
  team.for_each(1, 1, [&](int64_t, int64_t) {
    const int64_t width = spec().embedding_length;
    for (int64_t row = 0; row < batch_->row_count(); ++row) {
      const int64_t from = batch_->logit_rows[static_cast<size_t>(row)];
      if (from == row) continue;
      std::memcpy(workspace_.residual + row * width, workspace_.residual + from * width,
                  static_cast<size_t>(width) * sizeof(float));
    }
  });
}

}  // namespace air
