// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are outputs of a tile.
#include "kernels/neon/ops.h"
#include "kernels/neon/panel.h"

namespace air::neon {
namespace {

constexpr int32_t kOffset = 8;  // weights without mins are stored 8 too large

template <bool kHasMin>
struct Int4 {
  static constexpr int kBytes = 256;

  struct Scales {
    float32x4_t scales[kTileQuads], mins[kTileQuads];
  };

  static void load_scales(const IntegerTile& t, int64_t g, Scales* s) {
    load_halves(t.scales + 32 * g, s->scales);
    if (kHasMin) load_halves(t.mins + 32 * g, s->mins);
  }

  // values: a quad of outputs, [4][16][4] bytes.
  static void unpack(const uint8_t* values, int8x16_t (&weights)[8]) {
    AIR_UNROLL
    for (int j = 0; j < 4; ++j) {
      const uint8x16_t packed = vld1q_u8(values + 64 * j);
      weights[j] = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
      weights[j + 4] = vreinterpretq_s8_u8(vshrq_n_u8(packed, 4));
    }
  }

  template <int kRows>
  static void add_rows(const int8x16_t (&weights)[8], const Scales& s, int c, const PanelGroup* x,
                       float32x4_t (*acc)[kTileQuads]) {
    int32x4_t dots[kRows];
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) dots[r] = vld1q_s32(x[r].start);
    add_half<0>(weights, x, dots);
    add_half<1>(weights, x, dots);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      acc[r][c] = add_scaled(dots[r], s.scales[c], x[r].scale, acc[r][c]);
      if (kHasMin) acc[r][c] = add_min(x[r].total, s.mins[c], x[r].scale, acc[r][c]);
    }
  }
};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  if (args->weights->has_min) {
    run_panels(args, kInPanel<Int4<true>>, 0);
  } else {
    run_panels(args, kInPanel<Int4<false>>, kOffset);
  }
}

}  // namespace air::neon
