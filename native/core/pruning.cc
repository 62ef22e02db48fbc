#include "native/core/pruning.h"

#include <algorithm>
#include <string>

#include "kernels/include/air_formats.h"

namespace air {
namespace {

int64_t channel_groups_of(const DecoderSpec& spec) {
  return (spec.feed_forward_length + AIR_GROUP - 1) / AIR_GROUP;
}

Status check_mask(const std::vector<uint8_t>& mask, int64_t length, const char* name, const char* shape) {
  if (static_cast<int64_t>(mask.size()) != length) {
    return {StatusCode::kShape, "expected " + std::string(shape) + " = " + std::to_string(length) +
                                    " values for " + name + " but received " + std::to_string(mask.size())};
  }
  for (const uint8_t value : mask) {
    if (value > 1) {
      return {StatusCode::kArgument, "expected 0 (left out) or 1 (kept) for " + std::string(name) +
                                         " but received " + std::to_string(value)};
    }
  }
  return {};
}

// Row `layer` of mask, [layers, count], as indices; all of them for an empty mask.
std::vector<int64_t> kept_indices(const std::vector<uint8_t>& mask, int64_t layer, int64_t count) {
  std::vector<int64_t> kept;
  for (int64_t index = 0; index < count; ++index) {
    if (mask.empty() || mask[static_cast<size_t>(layer * count + index)] != 0) kept.push_back(index);
  }
  return kept;
}

// The indices of blocks of `width` elements each, as those of the elements below `end`.
std::vector<int64_t> spread(const std::vector<int64_t>& blocks, int64_t width, int64_t end) {
  std::vector<int64_t> elements;
  for (const int64_t block : blocks) {
    const int64_t block_end = std::min((block + 1) * width, end);
    for (int64_t element = block * width; element < block_end; ++element) elements.push_back(element);
  }
  return elements;
}

void select_heads(const DecoderSpec& spec, LayerShape* shape) {
  constexpr int64_t kAll = AIR_MAX_COLS;
  shape->query_rows.rows = spread(shape->query_heads, spec.head_dim, kAll);
  shape->query_columns.column_groups = spread(shape->query_heads, spec.head_dim / AIR_GROUP, kAll);
  if (shape->kv_count() == spec.kv_heads) return;
  std::vector<int64_t> kv_heads;
  for (const LayerShape::KvHead& head : shape->kv_heads) kv_heads.push_back(head.index);
  shape->kv_rows.rows = spread(kv_heads, spec.head_dim, kAll);
}

}  // namespace

bool LayerShape::has_kv_head(int64_t index) const {
  return std::any_of(kv_heads.begin(), kv_heads.end(),
                     [index](const KvHead& head) { return head.index == index; });
}

Status check_pruning(const Pruning& pruning, const DecoderSpec& spec) {
  if (!pruning.query_heads.empty()) {
    AIR_RETURN_IF_ERROR(check_mask(pruning.query_heads, spec.layers * spec.query_heads, "pruning.queryHeads",
                                   "layers * queryHeads"));
    const auto& heads = pruning.query_heads;
    if (spec.head_dim % AIR_GROUP != 0 && std::find(heads.begin(), heads.end(), 0) != heads.end()) {
      return {StatusCode::kUnsupported,
              "expected a headDim of a multiple of 32 for pruning.queryHeads but received " +
                  std::to_string(spec.head_dim)};
    }
  }
  if (pruning.channel_groups.empty()) return {};
  const int64_t groups = channel_groups_of(spec);
  AIR_RETURN_IF_ERROR(check_mask(pruning.channel_groups, spec.layers * groups, "pruning.channelGroups",
                                 "layers * ceil(feedForwardLength / 32)"));
  for (int64_t layer = 0; layer < spec.layers; ++layer) {
    if (!kept_indices(pruning.channel_groups, layer, groups).empty()) continue;
    return {StatusCode::kArgument, "expected a channel group or more for pruning.channelGroups of layer " +
                                       std::to_string(layer) + " but received none"};
  }
  return {};
}

LayerShape layer_shape(const DecoderSpec& spec, const Pruning& pruning, int64_t layer) {
  LayerShape shape;
  shape.query_heads = kept_indices(pruning.query_heads, layer, spec.query_heads);
  for (int64_t at = 0; at < shape.query_count(); ++at) {
    const int64_t kv_head = shape.query_heads[static_cast<size_t>(at)] / spec.heads_per_group();
    if (shape.kv_heads.empty() || shape.kv_heads.back().index != kv_head) {
      shape.kv_heads.push_back({kv_head, at, 0});
    }
    ++shape.kv_heads.back().query_count;
  }
  if (shape.query_count() < spec.query_heads) select_heads(spec, &shape);

  shape.feed_forward_length = spec.feed_forward_length;
  const std::vector<int64_t> groups =
      kept_indices(pruning.channel_groups, layer, channel_groups_of(spec));
  if (static_cast<int64_t>(groups.size()) < channel_groups_of(spec)) {
    shape.channel_rows.rows = spread(groups, AIR_GROUP, spec.feed_forward_length);
    shape.channel_columns.column_groups = groups;
    shape.feed_forward_length = static_cast<int64_t>(shape.channel_rows.rows.size());
  }
  return shape;
}

}  // namespace air
