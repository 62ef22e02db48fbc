// y = W x for 4-bit weights in groups of 32 against int8 activations.
#include "kernels/neoni8mm/ops.h"
#include "kernels/neoni8mm/panel.h"

namespace air::neoni8mm {
namespace {

// Weights with mins are nibbles 0..15. Those without are -8..7 and multiplied 16 times too large, in the upper
// half of a byte: so their sign costs nothing, and the conversion to float32 divides for free.
template <bool kHasMin>
struct Int4 {
  static constexpr int kBytes = 256;
  static constexpr bool kIsUnpacked = false;
  static constexpr Kind kKind = kHasMin ? Kind::kScale32Min : Kind::kScale32;

  // values: [2][2][8] bytes
  static void unpack(const uint8_t* values, int8x16_t (&weights)[kChunks]) {
    AIR_UNROLL
    for (int c = 0; c < 2; ++c) {
      const uint8x16_t packed = vld1q_u8(values + 16 * c);
      const uint8x16_t low = kHasMin ? vandq_u8(packed, vdupq_n_u8(15)) : vshlq_n_u8(packed, 4);
      const uint8x16_t high = kHasMin ? vshrq_n_u8(packed, 4) : vandq_u8(packed, vdupq_n_u8(0xf0));
      weights[c] = vreinterpretq_s8_u8(low);
      weights[c + 2] = vreinterpretq_s8_u8(high);
    }
  }

  static float32x4_t to_float(int32x4_t dots) {
    return kHasMin ? vcvtq_f32_s32(dots) : vcvtq_n_f32_s32(dots, 4);
  }
};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  if (args->weights->has_min) {
    run_panels(args, kInPanel<Int4<true>>, 0);
  } else {
    run_panels(args, kInPanel<Int4<false>>, 0);
  }
}

}  // namespace air::neoni8mm
