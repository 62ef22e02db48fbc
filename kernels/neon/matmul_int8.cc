// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are outputs.
#include "kernels/neon/ops.h"
#include "kernels/neon/panel.h"

namespace air::neon {
namespace {

enum class Kind { kScale32, kScale32Min, kScale16 };

template <Kind kKind>
struct Int8 {
  static constexpr int kBytes = 512;
  static constexpr int kScaleBytes = kKind == Kind::kScale16 ? 64 : 32;  // of a group

  struct Scales {
    float32x4_t first[kTileQuads], second[kTileQuads];  // second: scales of the last 16 k, or mins
  };

  static void load_scales(const IntegerTile& t, int64_t g, Scales* s) {
    load_halves(t.scales + kScaleBytes * g, s->first);
    if (kKind == Kind::kScale16) load_halves(t.scales + kScaleBytes * g + 32, s->second);
    if (kKind == Kind::kScale32Min) load_halves(t.mins + 32 * g, s->second);
  }

  // values: a quad of outputs, [8][16][4] bytes.
  static void unpack(const uint8_t* values, int8x16_t (&weights)[8]) {
    AIR_UNROLL
    for (int j = 0; j < 8; ++j) weights[j] = load_bytes(values + 64 * j);
  }

  template <int kRows>
  static void add_rows(const int8x16_t (&weights)[8], const Scales& s, int c, const PanelGroup* x,
                       float32x4_t (*acc)[kTileQuads]) {
    int32x4_t dots[kRows];
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) dots[r] = vld1q_s32(x[r].start);
    if (kKind == Kind::kScale16) {
      add_half<0>(weights, x, dots);
      AIR_UNROLL
      for (int r = 0; r < kRows; ++r) {
        acc[r][c] = add_scaled(dots[r], s.first[c], x[r].scale, acc[r][c]);
        dots[r] = vdupq_n_s32(0);
      }
      add_half<1>(weights, x, dots);
    } else {
      add_half<0>(weights, x, dots);
      add_half<1>(weights, x, dots);
    }
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float32x4_t scales = kKind == Kind::kScale16 ? s.second[c] : s.first[c];
      acc[r][c] = add_scaled(dots[r], scales, x[r].scale, acc[r][c]);
      if (kKind == Kind::kScale32Min) {
        acc[r][c] = add_min(x[r].total, s.second[c], x[r].scale, acc[r][c]);
      }
    }
  }
};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_panels(args, kInPanel<Int8<Kind::kScale16>>, 0);
  } else if (args->weights->has_min) {
    run_panels(args, kInPanel<Int8<Kind::kScale32Min>>, 0);
  } else {
    run_panels(args, kInPanel<Int8<Kind::kScale32>>, 0);
  }
}

}  // namespace air::neon
