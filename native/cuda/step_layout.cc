#include "native/cuda/step_layout.h"

#include "kernels/cuda/attention_params.h"

namespace air::cuda {

StepLayout::StepLayout(const StepShape& shape) {
  constexpr int64_t kAlignment = 16;
  const auto take = [this](int64_t* offset, int64_t count, int64_t size) {
    *offset = bytes;
    bytes += (count * size + kAlignment - 1) / kAlignment * kAlignment;
  };
  constexpr int64_t kInt = sizeof(int32_t);
  take(&counts, kCounts, kInt);
  take(&tokens, shape.tokens, kInt);
  take(&feed_sources, shape.tokens, kInt);
  take(&identity, shape.tokens, kInt);
  take(&logit_rows, shape.tokens, kInt);
  take(&slots, shape.groups * shape.tokens, kInt);
  take(&ranges, shape.groups * shape.tokens, sizeof(CacheRange));
  take(&tiles, kMaxTileSets * shape.tokens, sizeof(AttentionTile));
  take(&gates, shape.gates, 1);
  take(&cosines, (1 + shape.groups) * shape.tokens * shape.pairs, sizeof(float));
  take(&sines, (1 + shape.groups) * shape.tokens * shape.pairs, sizeof(float));
}

}  // namespace air::cuda
