// Rotary position embedding (arXiv 2104.09864), in place.
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"

namespace air::neon {
namespace {

// a' = fma(a, cos, -(b sin)), b' = fma(a, sin, b cos); x: a, b
inline float32x4x2_t rotate(float32x4x2_t x, float32x4_t cosine, float32x4_t sine) {
  return {vfmaq_f32(vnegq_f32(vmulq_f32(x.val[1], sine)), x.val[0], cosine),
          vfmaq_f32(vmulq_f32(x.val[1], cosine), x.val[0], sine)};
}

// x: [2 pairs]; pairs (j, j + pairs)
void rotate_half(float* x, int64_t pairs, const float* cosines, const float* sines) {
  for (int64_t j = 0; j < pairs; j += 4) {
    const int64_t left = pairs - j;
    const float32x4x2_t old = {load_lanes(x + j, left), load_lanes(x + pairs + j, left)};
    const float32x4x2_t now = rotate(old, load_lanes(cosines + j, left), load_lanes(sines + j, left));
    store_lanes(x + j, left, now.val[0]);
    store_lanes(x + pairs + j, left, now.val[1]);
  }
}

// x: [8], pairs (2 j, 2 j + 1)
inline void rotate_four_pairs(float* x, float32x4_t cosine, float32x4_t sine) {
  vst2q_f32(x, rotate(vld2q_f32(x), cosine, sine));
}

// x: [2 pairs]; pairs (2 j, 2 j + 1)
void rotate_interleaved(float* x, int64_t pairs, const float* cosines, const float* sines) {
  int64_t j = 0;
  for (; j + 4 <= pairs; j += 4) rotate_four_pairs(x + 2 * j, vld1q_f32(cosines + j), vld1q_f32(sines + j));
  if (j == pairs) return;
  const size_t tail_bytes = 2 * sizeof(float) * static_cast<size_t>(pairs - j);
  float tail[8] = {};
  memcpy(tail, x + 2 * j, tail_bytes);
  rotate_four_pairs(tail, load_lanes(cosines + j, pairs - j), load_lanes(sines + j, pairs - j));
  memcpy(x + 2 * j, tail, tail_bytes);
}

}  // namespace

// x: [heads, head_stride]; cosines, sines: [rope_dims / 2]
void rope(float* x, int64_t heads, int64_t head_stride, int64_t rope_dims, const float* cosines,
          const float* sines, int32_t pairing) {
  for (int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_stride;
    if (pairing == AIR_ROPE_INTERLEAVED) {
      rotate_interleaved(head, rope_dims / 2, cosines, sines);
    } else {
      rotate_half(head, rope_dims / 2, cosines, sines);
    }
  }
}

}  // namespace air::neon
