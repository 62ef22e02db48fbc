#include "native/core/decoder_spec.h"

#include <cmath>
#include <string>

namespace air {

namespace {

// Generous bounds that keep every product of two sizes far from overflow.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxWidth = AIR_MAX_COLS;
constexpr int64_t kMaxVocab = int64_t{1} << 24;

Status out_of_range(const char* name, int64_t low, int64_t high, int64_t value) {
  return {StatusCode::kModelFormat, "expected an integer from " + std::to_string(low) + " to " +
                                        std::to_string(high) + " for " + name + " but received " +
                                        std::to_string(value)};
}

}  // namespace

Status check_spec(const DecoderSpec& spec) {
  const struct {
    const char* name;
    int64_t value, high;
  } sizes[] = {
      {"layers", spec.layers, kMaxLayers},         {"embeddingLength", spec.embedding_length, kMaxWidth},
      {"queryHeads", spec.query_heads, kMaxWidth}, {"kvHeads", spec.kv_heads, spec.query_heads},
      {"headDim", spec.head_dim, kMaxWidth},       {"feedForwardLength", spec.feed_forward_length, kMaxWidth},
      {"vocabSize", spec.vocab_size, kMaxVocab},
  };
  for (const auto& size : sizes) {
    if (size.value < 1 || size.value > size.high) return out_of_range(size.name, 1, size.high, size.value);
  }
  if (spec.head_dim > AIR_MAX_HEAD_DIM) {
    return {StatusCode::kUnsupported, "expected at most " + std::to_string(AIR_MAX_HEAD_DIM) +
                                          " for headDim but received " + std::to_string(spec.head_dim)};
  }
  if (spec.query_heads % spec.kv_heads != 0) {
    return {StatusCode::kModelFormat, "expected a multiple of kvHeads (" + std::to_string(spec.kv_heads) +
                                          ") for queryHeads but received " +
                                          std::to_string(spec.query_heads)};
  }
  if (spec.query_heads * spec.head_dim > kMaxWidth) {
    return out_of_range("queryHeads * headDim", 1, kMaxWidth, spec.query_heads * spec.head_dim);
  }
  if (spec.rope_dims < 2 || spec.rope_dims > spec.head_dim || spec.rope_dims % 2 != 0) {
    return {StatusCode::kModelFormat,
            "expected an even number from 2 to headDim (" + std::to_string(spec.head_dim) +
                ") for rope.dimensions but received " + std::to_string(spec.rope_dims)};
  }
  const auto pairs = static_cast<int64_t>(spec.rope_inverse_frequencies.size());
  if (pairs != spec.rope_dims / 2) {
    return {StatusCode::kShape, "expected " + std::to_string(spec.rope_dims / 2) +
                                    " values for rope.inverseFrequencies but received " +
                                    std::to_string(pairs)};
  }
  for (const double frequency : spec.rope_inverse_frequencies) {
    if (!std::isfinite(frequency)) {
      return {StatusCode::kModelFormat,
              "expected finite numbers for rope.inverseFrequencies but received one that is not"};
    }
  }
  if (!std::isfinite(spec.rope_attention_factor) || !(spec.norm_epsilon >= 0) ||
      !std::isfinite(spec.norm_epsilon)) {
    return {
        StatusCode::kModelFormat,
        "expected finite, non-negative numbers for normEpsilon and rope.attentionFactor but received others"};
  }
  return {};
}

}  // namespace air
