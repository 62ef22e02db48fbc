#include "native/cuda/forward.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/step_params.h"

namespace air::cuda {

namespace {

template <typename T>
T* pointer(DevicePointer address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

uint32_t unsigned_of(int64_t value) { return static_cast<uint32_t>(value); }
int32_t int_of(int64_t value) { return static_cast<int32_t>(value); }
DevicePointer offset_by(DevicePointer base, int64_t bytes) {
  return base + static_cast<DevicePointer>(bytes);
}

constexpr uint32_t kRowThreads = 256;  // of the kernels of kernels/cuda/step_*.cu

LaunchShape row_shape(int64_t rows, uint32_t shared_bytes = 0) {
  return {unsigned_of(rows), 1, 1, kRowThreads, shared_bytes};
}

}  // namespace

Status Forward::create(const DeviceModel& device, const KvArena& arena, const Activations& activations,
                       Launcher& launcher) {
  device_ = &device;
  arena_ = &arena;
  activations_ = &activations;
  launcher_ = &launcher;
  const DeviceInfo& info = device.context().device();
  matmul_device_.multiprocessors = info.multiprocessors;
  matmul_device_.shared_bytes_per_block = info.shared_bytes;
  matmul_device_.shared_bytes_per_multiprocessor = info.shared_bytes_per_multiprocessor;
  std::vector<KvMember> members;
  const auto& layers = arena.model()->layers();
  for (size_t index = 0; index < layers.size(); ++index) {
    first_member_.push_back(static_cast<int64_t>(members.size()));
    for (const LayerShape::KvHead& head : layers[index].shape.kv_heads) {
      const KvArena::Member& at = arena.member(static_cast<int64_t>(index), head.index);
      KvMember member{};
      member.group = at.group;
      member.first_query = int_of(head.first_query);
      member.query_count = int_of(head.query_count);
      if (at.group >= 0 && static_cast<int64_t>(index) >= device.first_layer()) {
        const KvArena::Group& group = arena.groups()[static_cast<size_t>(at.group)];
        member.pages =
            pointer<uint8_t>(offset_by(group.device->address(), at.offset - group.host_page_bytes));
        member.page_stride = group.device_page_bytes();
      }
      members.push_back(member);
    }
  }
  const auto bytes = static_cast<int64_t>(members.size() * sizeof(KvMember));
  AIR_RETURN_IF_ERROR(members_.allocate(device.shared_context(), bytes, "KV heads"));
  AIR_RETURN_IF_ERROR(launcher.stream().to_device(members_.address(), members.data(), bytes));
  return launcher.stream().synchronize();
}

Forward::Rows Forward::rows_of(const Step& step, bool is_logit_rows) const {
  const int64_t index = is_logit_rows ? StepLayout::kRows : StepLayout::kTokens;
  return {is_logit_rows ? step.plan.kind.rows : step.plan.kind.tokens,
          offset_by(step.memory.block, step.plan.layout.counts + index * int64_t{sizeof(int32_t)})};
}

Status Forward::embed(const Step& step) {
  const DecoderSpec& spec = arena_->model()->spec();
  const StepMemory& memory = step.memory;
  const Rows tokens = rows_of(step, false);
  EmbedParams embed{};
  embed.table = pointer<const uint8_t>(device_->embedding());
  embed.tokens = pointer<const int32_t>(offset_by(memory.block, step.plan.layout.tokens));
  embed.row_count = pointer<const int32_t>(tokens.count);
  embed.residual = pointer<float>(activations_->residual);
  embed.row_bytes = device_->embedding_row_bytes();
  embed.cols = int_of(spec.embedding_length);
  embed.type = static_cast<EmbeddingType>(device_->embedding_type());
  return launcher_->launch("air_step_embed", row_shape(tokens.most), embed);
}

Status Forward::layers(const StepPlan& plan, const StepMemory& memory, const LayerHooks& hooks) {
  const Step step{plan, memory, hooks};
  if (device_->first_layer() == 0) AIR_RETURN_IF_ERROR(embed(step));
  for (int64_t index = device_->first_layer(); index < arena_->model()->spec().layers; ++index) {
    if (hooks.before) AIR_RETURN_IF_ERROR(hooks.before(index));
    AIR_RETURN_IF_ERROR(layer(step, index));
  }
  if (plan.kind.rows == 0) return {};
  return norm(rows_of(step, true), activations_->logit_residual, device_->output_norm(),
              hooks.keeps_states ? activations_->residual : 0);
}

Status Forward::layer(const Step& step, int64_t index) {
  const bool has_heads = !device_->layers()[static_cast<size_t>(index)].projections.empty();
  if (has_heads) AIR_RETURN_IF_ERROR(project(step, index));
  if (has_heads && step.hooks.rotated) AIR_RETURN_IF_ERROR(step.hooks.rotated(attention_of(step, index)));
  // From here on each row stands alone, so the last layer goes on with the asked rows only, if any.
  const bool is_last = index + 1 == arena_->model()->spec().layers;
  if (is_last && step.plan.kind.rows == 0) return {};
  const Rows rows = rows_of(step, is_last);
  DevicePointer residual = activations_->residual;
  if (is_last) {
    const DevicePointer logit_rows = offset_by(step.memory.block, step.plan.layout.logit_rows);
    AIR_RETURN_IF_ERROR(gather(rows, residual, logit_rows, 0, activations_->logit_residual));
    residual = activations_->logit_residual;
  }
  if (has_heads) {
    AIR_RETURN_IF_ERROR(attend(step, index, rows, residual));
  } else if (const DevicePointer bias = device_->layers()[static_cast<size_t>(index)].o_bias; bias != 0) {
    AIR_RETURN_IF_ERROR(gather(rows, residual, 0, bias, residual));
  }
  return feed_forward(step, index, rows, residual);
}

Status Forward::project(const Step& step, int64_t index) {
  const DeviceLayer& layer = device_->layers()[static_cast<size_t>(index)];
  const Rows tokens = rows_of(step, false);
  AIR_RETURN_IF_ERROR(norm(tokens, activations_->residual, layer.attention_norm));
  for (const DeviceProduct& product : layer.projections) {
    const DevicePointer y = offset_by(activations_->projected, product.first_output * int64_t{sizeof(float)});
    AIR_RETURN_IF_ERROR(multiply(product, tokens, activations_->normed, activations_->normed_stride, y,
                                 device_->projected_columns(), MatmulStore::kSet));
  }
  return rotate_and_store(step, index);
}

Status Forward::rotate_and_store(const Step& step, int64_t index) {
  const DecoderSpec& spec = arena_->model()->spec();
  const LayerShape& shape = arena_->model()->layers()[static_cast<size_t>(index)].shape;
  const DeviceLayer& layer = device_->layers()[static_cast<size_t>(index)];
  const AirKvLayout& pages = arena_->layout();
  const StepLayout& layout = step.plan.layout;
  const Rows tokens = rows_of(step, false);
  const auto at = [&](int64_t offset) { return offset_by(step.memory.block, offset); };
  RopeWriteParams p{};
  p.projected = pointer<const float>(activations_->projected);
  p.token_count = pointer<const int32_t>(tokens.count);
  p.cosines = pointer<const float>(at(layout.cosines));
  p.sines = pointer<const float>(at(layout.sines));
  p.slots = pointer<const int32_t>(at(layout.slots));
  p.ranges = pointer<const CacheRange>(at(layout.ranges));
  p.members = pointer<const KvMember>(members_.address()) + first_member_[static_cast<size_t>(index)];
  p.queries = pointer<uint16_t>(activations_->queries);
  p.sink_queries = pointer<uint16_t>(activations_->sink_queries);
  p.stride = int_of(device_->projected_columns());
  p.key_column = int_of(layer.key_column);
  p.value_column = int_of(layer.value_column);
  p.angle_stride = int_of(step.plan.kind.tokens);
  p.range_stride = int_of(step.plan.kind.tokens);
  p.query_heads = int_of(shape.query_count());
  p.kv_heads = int_of(shape.kv_count());
  p.head_dim = int_of(spec.head_dim);
  p.padded_dim = int_of(spec.padded_head_dim());
  p.rope_dims = int_of(spec.rope_dims);
  p.is_interleaved = spec.rope_pairing == AIR_ROPE_INTERLEAVED ? 1 : 0;
  p.rotates_keys = arena_->rotates_keys() ? 1 : 0;
  p.query_scale = 1.0F / std::sqrt(static_cast<float>(spec.head_dim));
  p.key_type = pages.key_type;
  p.value_type = pages.value_type;
  p.page_tokens = pages.page_tokens;
  p.values_offset = int_of(pages.values_offset);
  p.key_scales_offset = int_of(pages.key_scales_offset);
  p.value_scales_offset = int_of(pages.value_scales_offset);
  const LaunchShape launch{unsigned_of(tokens.most), unsigned_of(shape.query_count() + 2 * shape.kv_count()),
                           1, 128, AIR_MAX_HEAD_DIM * sizeof(float) + 16};
  return launcher_->launch("air_step_rope", launch, p);
}

AttentionParams Forward::attention_of(const Step& step, int64_t index) const {
  const DecoderSpec& spec = arena_->model()->spec();
  const LayerShape& shape = arena_->model()->layers()[static_cast<size_t>(index)].shape;
  const AirKvLayout& pages = arena_->layout();
  const StepLayout& layout = step.plan.layout;
  const auto at = [&](int64_t offset) { return offset_by(step.memory.block, offset); };
  AttentionParams p{};
  p.queries = pointer<const uint16_t>(activations_->queries);
  p.sink_queries = step.plan.kind.has_sinks ? pointer<const uint16_t>(activations_->sink_queries) : nullptr;
  p.ranges = pointer<const CacheRange>(at(layout.ranges));
  p.page_tables = pointer<const int32_t>(step.memory.page_tables);
  if (step.plan.kind.has_gates) p.gates = pointer<const uint8_t>(at(layout.gates)) + index * spec.query_heads;
  p.members = pointer<const KvMember>(members_.address()) + first_member_[static_cast<size_t>(index)];
  p.kv_heads = int_of(shape.kv_count());
  p.query_heads = int_of(shape.query_count());
  p.range_stride = int_of(step.plan.kind.tokens);
  p.head_dim = int_of(spec.head_dim);
  p.padded_dim = int_of(spec.padded_head_dim());
  p.key_type = pages.key_type;
  p.value_type = pages.value_type;
  p.page_tokens = pages.page_tokens;
  p.values_offset = int_of(pages.values_offset);
  p.key_scales_offset = int_of(pages.key_scales_offset);
  p.value_scales_offset = int_of(pages.value_scales_offset);
  return p;
}

Status Forward::attend(const Step& step, int64_t index, const Rows& rows, DevicePointer residual) {
  const DecoderSpec& spec = arena_->model()->spec();
  const LayerShape& shape = arena_->model()->layers()[static_cast<size_t>(index)].shape;
  const StepPlan::Attention& plan =
      step.plan.attention[step.plan.layer_attention[static_cast<size_t>(index)]];
  const StepLayout& layout = step.plan.layout;
  const auto at = [&](int64_t offset) { return offset_by(step.memory.block, offset); };
  AttentionParams p = attention_of(step, index);
  p.attended = pointer<uint16_t>(activations_->attended);
  p.tiles = pointer<const AttentionTile>(at(layout.tiles)) + plan.tile_set * step.plan.kind.tokens;
  p.tile_count = pointer<const int32_t>(at(layout.counts)) + StepLayout::kTiles + plan.tile_set;
  p.row_count = pointer<const int32_t>(rows.count);
  p.row_tokens = pointer<const int32_t>(at(plan.is_logit_rows ? layout.logit_rows : layout.identity));
  p.partials = pointer<float>(step.memory.partials);
  p.stats = pointer<PartialStats>(step.memory.stats);
  apply_shape(plan.shape, plan.problem, &p);
  AIR_RETURN_IF_ERROR(launcher_->launch(plan.shape.kernel, plan.shape.launch, p));
  if (plan.shape.split_lanes > 0)
    AIR_RETURN_IF_ERROR(launcher_->launch("merge_attention", plan.shape.merge, p));
  const int64_t columns = shape.query_count() * spec.head_dim;
  if (step.hooks.attended) AIR_RETURN_IF_ERROR(step.hooks.attended(index, columns));
  return multiply(device_->layers()[static_cast<size_t>(index)].o, rows, activations_->attended, columns,
                  residual, spec.embedding_length, MatmulStore::kAdd);
}

Status Forward::feed_forward(const Step& step, int64_t index, const Rows& rows, DevicePointer residual) {
  const DeviceLayer& layer = device_->layers()[static_cast<size_t>(index)];
  const int64_t channels = arena_->model()->layers()[static_cast<size_t>(index)].shape.feed_forward_length;
  AIR_RETURN_IF_ERROR(norm(rows, residual, layer.feed_forward_norm));
  const auto expand = [&](const DeviceProduct& product, DevicePointer y, int64_t stride, MatmulStore store) {
    return multiply(product, rows, activations_->normed, activations_->normed_stride, y, stride, store);
  };
  if (layer.is_paired) {
    AIR_RETURN_IF_ERROR(expand(layer.expansions.front(), activations_->hidden, activations_->hidden_stride,
                               MatmulStore::kSwiglu));
  } else {
    const int64_t stride = activations_->expanded_stride;
    AIR_RETURN_IF_ERROR(expand(layer.expansions[0], activations_->gate, stride, MatmulStore::kSet));
    AIR_RETURN_IF_ERROR(expand(layer.expansions[1], activations_->up, stride, MatmulStore::kSet));
    ActivateParams p{};
    p.gate = pointer<const float>(activations_->gate);
    p.up = pointer<const float>(activations_->up);
    p.row_count = pointer<const int32_t>(rows.count);
    p.y = pointer<uint16_t>(activations_->hidden);
    p.cols = int_of(channels);
    p.stride = int_of(stride);
    p.y_stride = int_of(activations_->hidden_stride);
    LaunchShape launch = row_shape(rows.most);
    launch.grid_y = unsigned_of((channels + kRowThreads - 1) / kRowThreads);
    AIR_RETURN_IF_ERROR(launcher_->launch("air_step_activate", launch, p));
  }
  if (step.hooks.hidden) AIR_RETURN_IF_ERROR(step.hooks.hidden(index, channels));
  return multiply(layer.down, rows, activations_->hidden, activations_->hidden_stride, residual,
                  arena_->model()->spec().embedding_length, MatmulStore::kAdd);
}

Status Forward::norm(const Rows& rows, DevicePointer x, DevicePointer weight, DevicePointer wide) {
  const DecoderSpec& spec = arena_->model()->spec();
  NormParams p{};
  p.x = pointer<const float>(x);
  p.weight = pointer<const float>(weight);
  p.row_count = pointer<const int32_t>(rows.count);
  p.y = pointer<uint16_t>(activations_->normed);
  p.wide = pointer<float>(wide);
  p.epsilon = spec.norm_epsilon;
  p.cols = int_of(spec.embedding_length);
  p.y_stride = int_of(activations_->normed_stride);
  return launcher_->launch("air_step_norm", row_shape(rows.most, 8 * sizeof(float)), p);
}

Status Forward::gather(const Rows& rows, DevicePointer from, DevicePointer row_indices, DevicePointer bias,
                       DevicePointer to) {
  GatherParams p{};
  p.from = pointer<const float>(from);
  p.rows = pointer<const int32_t>(row_indices);
  p.row_count = pointer<const int32_t>(rows.count);
  p.bias = pointer<const float>(bias);
  p.to = pointer<float>(to);
  p.cols = int_of(arena_->model()->spec().embedding_length);
  return launcher_->launch("air_step_gather", row_shape(rows.most), p);
}

Status Forward::multiply(const DeviceProduct& product, const Rows& rows, DevicePointer x, int64_t x_stride,
                         DevicePointer y, int64_t y_stride, MatmulStore store) {
  const DeviceMatrix& matrix = product.matrix;
  const MatmulLaunch launch =
      choose_matmul(matrix.format, matrix.tiles, matrix.cols, int_of(rows.most), matmul_device_);
  MatmulParams p{};
  p.weights = pointer<const uint8_t>(product.weights);
  p.x = pointer<const uint16_t>(x);
  p.y = pointer<void>(y);
  p.bias = pointer<const float>(product.bias);
  p.row_count = pointer<const int32_t>(rows.count);
  p.tile_stride = matrix.tile_stride;
  p.outputs = matrix.outputs;
  p.cols = matrix.cols;
  p.tiles = matrix.tiles;
  p.max_rows = int_of(rows.most);
  p.x_stride = int_of(x_stride);
  p.y_stride = int_of(y_stride);
  p.store = store;
  p.stages = launch.stages;
  return launcher_->launch(matmul_kernel_name(matrix.format, launch.kernel), launch.shape, p);
}

Status Forward::logits(int64_t first, int64_t count) {
  const int64_t stride = activations_->normed_stride;
  const DevicePointer x = offset_by(activations_->normed, first * stride * int64_t{sizeof(uint16_t)});
  return multiply(device_->output(), {count, 0}, x, stride, activations_->logits,
                  arena_->model()->spec().vocab_size, MatmulStore::kSet);
}

Status Forward::peaks(const StepPlan& plan, const StepMemory& memory, DevicePointer probabilities) {
  const LayerHooks none;
  const Step step{plan, memory, none};
  const Rows rows = rows_of(step, true);
  PeakParams p{};
  p.logits = pointer<const float>(activations_->logits);
  p.row_count = pointer<const int32_t>(rows.count);
  p.tokens = pointer<int32_t>(activations_->drafted);
  p.probabilities = pointer<float>(probabilities);
  p.cols = int_of(arena_->model()->spec().vocab_size);
  const auto shared = static_cast<uint32_t>(kRowThreads * (3 * sizeof(int32_t) + sizeof(float)));
  return launcher_->launch("air_step_peak", row_shape(rows.most, shared), p);
}

Status Forward::feed(const StepPlan& plan, const StepMemory& memory) {
  FeedParams p{};
  p.drafted = pointer<const int32_t>(activations_->drafted);
  p.source = pointer<const int32_t>(offset_by(memory.block, plan.layout.feed_sources));
  p.token_count = pointer<const int32_t>(offset_by(memory.block, plan.layout.counts));
  p.tokens = pointer<int32_t>(offset_by(memory.block, plan.layout.tokens));
  return launcher_->launch("air_step_feed", row_shape(1), p);
}

}  // namespace air::cuda
