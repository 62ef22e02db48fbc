// Structured pruning: query heads and feed-forward channels that are left out of a model when it is loaded, and the
// shapes of the layers that are left.
#ifndef AIR_CORE_PRUNING_H_
#define AIR_CORE_PRUNING_H_

#include <cstdint>
#include <vector>

#include "native/core/decoder_spec.h"
#include "native/core/status.h"
#include "native/core/weights/selection.h"

namespace air {

// 0 leaves out, 1 keeps. Empty: all are kept.
struct Pruning {
  std::vector<uint8_t> query_heads;     // [layers, query_heads]
  std::vector<uint8_t> channel_groups;  // [layers, ceil(feed_forward_length / 32)]
};

// AIR_ERR_SHAPE for other lengths, AIR_ERR_ARGUMENT for other values and for a layer without channels,
// AIR_ERR_UNSUPPORTED for heads that are no whole groups of 32 dims.
Status check_pruning(const Pruning& pruning, const DecoderSpec& spec);

// What one layer computes: activations hold the kept heads and channels only, side by side.
struct LayerShape {
  struct KvHead {
    int64_t index;        // in the model
    int64_t first_query;  // of its query heads, among the layer's kept ones
    int64_t query_count;  // at least 1
  };
  std::vector<int64_t> query_heads;  // kept ones, by their index in the model; empty: no attention
  std::vector<KvHead> kv_heads;      // those with query heads
  int64_t feed_forward_length = 0;   // kept channels

  // Which rows of its matrices are kept; their columns are the same groups of 32.
  MatrixSelection query_rows, kv_rows, channel_rows;
  MatrixSelection query_columns, channel_columns;

  int64_t query_count() const { return static_cast<int64_t>(query_heads.size()); }
  int64_t kv_count() const { return static_cast<int64_t>(kv_heads.size()); }
  bool has_kv_head(int64_t index) const;
};

// pruning has passed check_pruning.
LayerShape layer_shape(const DecoderSpec& spec, const Pruning& pruning, int64_t layer);

}  // namespace air

#endif  // AIR_CORE_PRUNING_H_
