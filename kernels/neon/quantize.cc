// float32 rows -> int8 in groups of 32 with a float32 scale.
#include "kernels/neon/ops.h"
#include "kernels/neon/simd.h"

namespace air::neon {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;
constexpr uint32_t kNanBits = 0x7fc00000u;

// x, q: [32]; sums: [2]
inline void quantize_group(const float* x, int8_t* q, float* scale, int32_t* sums) {
  uint32x4_t largest = vdupq_n_u32(0);
  AIR_UNROLL
  for (int i = 0; i < 8; ++i) largest = vmaxq_u32(largest, magnitude_bits(vld1q_f32(x + 4 * i)));
  const uint32_t max_bits = vmaxvq_u32(largest);
  const float amax = bits_float(max_bits);
  if (max_bits >= kInfinityBits || amax < AIR_QUANTIZE_TINY) {
    memset(q, 0, AIR_GROUP);
    *scale = max_bits >= kInfinityBits ? bits_float(kNanBits) : 0.0f;
    sums[0] = sums[1] = 0;
    return;
  }
  const float inverse = 127.0f / amax;
  *scale = amax / 127.0f;
  AIR_UNROLL
  for (int half = 0; half < 2; ++half) {
    int32x4_t rounded[4];
    AIR_UNROLL
    for (int i = 0; i < 4; ++i) {
      rounded[i] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 16 * half + 4 * i), inverse));
    }
    const int8x16_t packed = pack_bytes(rounded);
    vst1q_s8(q + 16 * half, packed);
    sums[half] = vaddlvq_s8(packed);  // 16 bits hold 16 * 127
  }
}

}  // namespace

void quantize_rows(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales, int32_t* sums16) {
  const int64_t groups = rows * (cols / AIR_GROUP);
  for (int64_t g = 0; g < groups; ++g) {
    quantize_group(x + g * AIR_GROUP, q + g * AIR_GROUP, scales + g, sums16 + 2 * g);
  }
}

}  // namespace air::neon
