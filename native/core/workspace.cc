#include "native/core/workspace.h"

namespace air {

namespace {

// Hands out consecutive 64-byte aligned arrays; with a null base it only measures.
class Carver {
 public:
  explicit Carver(uint8_t* base) : base_(base) {}

  template <typename T>
  void take(T** array, int64_t count) {
    if (base_ != nullptr) *array = reinterpret_cast<T*>(base_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

  void take_rows(QuantizedRows* rows, int64_t count, int64_t cols) {
    rows->cols = cols;
    take(&rows->values, count * cols);
    take(&rows->q, count * cols);
    take(&rows->scales, count * (cols / AIR_GROUP));
    take(&rows->sums16, count * (cols / AIR_STRIPE));
  }

  int64_t used() const { return used_; }

 private:
  uint8_t* const base_;
  int64_t used_ = 0;
};

void carve(Workspace* w, const DecoderSpec& spec, int64_t tokens, int64_t head_groups, Carver* carver) {
  const int64_t query_width = spec.query_heads * spec.head_dim;
  const int64_t kv_width = spec.kv_heads * spec.head_dim;
  const int64_t angles = (1 + head_groups) * tokens * (spec.rope_dims / 2);
  carver->take(&w->residual, tokens * spec.embedding_length);
  carver->take_rows(&w->normed, tokens, spec.embedding_length);
  carver->take(&w->q, tokens * query_width);
  carver->take(&w->k, tokens * kv_width);
  carver->take(&w->v, tokens * kv_width);
  carver->take_rows(&w->rotated, tokens * spec.query_heads, spec.padded_head_dim());
  carver->take_rows(&w->rotated_sink, tokens * spec.query_heads, spec.padded_head_dim());
  carver->take(&w->cosines, angles);
  carver->take(&w->sines, angles);
  carver->take_rows(&w->attended, tokens, query_width);
  carver->take(&w->gate, tokens * spec.feed_forward_length);
  carver->take(&w->up, tokens * spec.feed_forward_length);
  carver->take_rows(&w->hidden, tokens, spec.feed_forward_length);
}

}  // namespace

Status Workspace::allocate(const DecoderSpec& spec, int64_t max_tokens, int64_t head_groups) {
  Carver measure(nullptr);
  carve(this, spec, max_tokens, head_groups, &measure);
  AIR_RETURN_IF_ERROR(memory_.allocate(measure.used(), "activations"));
  Carver carver(memory_.data());
  carve(this, spec, max_tokens, head_groups, &carver);
  return {};
}

}  // namespace air
