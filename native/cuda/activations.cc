#include "native/cuda/activations.h"

#include <algorithm>

namespace air::cuda {

namespace {

constexpr int64_t kAlignment = 256;
constexpr int64_t kMaxLogitRows = 64;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

int64_t Activations::carve(const DeviceModel& device, const Model& model, int64_t tokens,
                           DevicePointer base) {
  const DecoderSpec& spec = model.spec();
  normed_stride = round_up(spec.embedding_length, 8);
  expanded_stride = round_up(spec.feed_forward_length, AIR_TILE_ROWS);
  hidden_stride = round_up(spec.feed_forward_length, 8);
  logit_rows = std::min(tokens, kMaxLogitRows);
  const bool is_paired = std::all_of(device.layers().begin() + device.first_layer(), device.layers().end(),
                                     [](const DeviceLayer& layer) { return layer.is_paired; });
  int64_t used = 0;
  const auto take = [&](DevicePointer* address, int64_t count, int64_t size) {
    *address = count == 0 ? 0 : base + static_cast<DevicePointer>(used);
    used += round_up(count * size, kAlignment);
  };
  constexpr int64_t kFloat = sizeof(float);
  constexpr int64_t kHalf = sizeof(uint16_t);
  take(&residual, tokens * spec.embedding_length, kFloat);
  take(&logit_residual, tokens * spec.embedding_length, kFloat);
  take(&normed, tokens * normed_stride, kHalf);
  take(&projected, tokens * device.projected_columns(), kFloat);
  take(&queries, tokens * spec.query_heads * spec.padded_head_dim(), kHalf);
  take(&sink_queries, tokens * spec.query_heads * spec.padded_head_dim(), kHalf);
  take(&attended, tokens * spec.query_heads * spec.head_dim, kHalf);
  take(&gate, is_paired ? 0 : tokens * expanded_stride, kFloat);
  take(&up, is_paired ? 0 : tokens * expanded_stride, kFloat);
  take(&hidden, tokens * hidden_stride, kHalf);
  take(&logits, logit_rows * spec.vocab_size, kFloat);
  take(&drafted, tokens, sizeof(int32_t));
  return used;
}

Status Activations::allocate(const DeviceModel& device, const Model& model, int64_t tokens) {
  const int64_t bytes = carve(device, model, tokens, 0);
  AIR_RETURN_IF_ERROR(memory_.allocate(device.shared_context(), bytes, "activations"));
  carve(device, model, tokens, memory_.address());
  return {};
}

}  // namespace air::cuda
