// float32 rows -> int8 in groups of 32 with a float32 scale.
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;

// x, q: [32]; sums: [2]
void quantize_group(const float* x, int8_t* q, float* scale, int32_t* sums) {
  const uint32_t max_bits = max_magnitude_bits(x, AIR_GROUP);
  const float amax = bits_float(max_bits);
  sums[0] = sums[1] = 0;
  if (max_bits >= kInfinityBits || amax < AIR_QUANTIZE_TINY) {
    memset(q, 0, AIR_GROUP);
    *scale = max_bits >= kInfinityBits ? NAN : 0.0f;
    return;
  }
  const float inverse = 127.0f / amax;
  *scale = amax / 127.0f;
  for (int i = 0; i < AIR_GROUP; ++i) {
    const int32_t rounded = static_cast<int32_t>(rintf(x[i] * inverse));
    q[i] = static_cast<int8_t>(rounded);
    sums[i / 16] += rounded;
  }
}

}  // namespace

void quantize_rows(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales, int32_t* sums16) {
  const int64_t groups = rows * (cols / AIR_GROUP);
  for (int64_t g = 0; g < groups; ++g) {
    quantize_group(x + g * AIR_GROUP, q + g * AIR_GROUP, scales + g, sums16 + 2 * g);
  }
}

}  // namespace air::reference
