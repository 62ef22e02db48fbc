// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are outputs.
#include "kernels/neon/matmul.h"
#include "kernels/neon/ops.h"

namespace air::neon {
namespace {

constexpr int kGroupBytes = 512;

enum class Kind { kScale32, kScale32Min, kScale16 };

inline float32x4_t add_scaled(int32x4_t dot, float32x4_t scales, float x_scale, float32x4_t acc) {
  return vfmaq_f32(acc, vcvtq_f32_s32(dot), vmulq_n_f32(scales, x_scale));
}

template <int kRows, int kQuads, Kind kKind>
inline void multiply_quads(const AirMatmulArgs* args, int64_t tile, int quad, int64_t row) {
  constexpr int kScaleBytes = kKind == Kind::kScale16 ? 64 : 32;  // of a group
  const IntegerTile t = integer_tile(args, tile, quad, row);
  const int32x4_t zero = vdupq_n_s32(0);
  float32x4_t acc[kRows][kQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) acc[r][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < t.groups; ++g) {
    prefetch_step(t.start, g, t.group_bytes, kGroupBytes / 64 + 1);
    float32x4_t scales[kQuads], second[kQuads];  // second: scales of the last 16 k, or mins
    load_halves(t.scales + kScaleBytes * g, scales);
    if (kKind == Kind::kScale16) load_halves(t.scales + kScaleBytes * g + 32, second);
    if (kKind == Kind::kScale32Min) load_halves(t.mins + 32 * g, second);
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      int8x16_t weights[8];  // weights[j]: k = 4 j .. 4 j + 3 of the group
      AIR_UNROLL
      for (int j = 0; j < 8; ++j)
        weights[j] = load_bytes(t.values + g * kGroupBytes + 64 * j + kQuadBytes * c);
      AIR_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int8_t* q = t.q + r * t.cols + AIR_GROUP * g;
        const float x_scale = t.x_scales[r * t.groups + g];
        const int32x4_t first_dot = add_dot16(weights, load_bytes(q), zero);
        const int8x16_t last_q = load_bytes(q + 16);
        if (kKind == Kind::kScale16) {
          acc[r][c] = add_scaled(first_dot, scales[c], x_scale, acc[r][c]);
          acc[r][c] = add_scaled(add_dot16(weights + 4, last_q, zero), second[c], x_scale, acc[r][c]);
        } else {
          acc[r][c] = add_scaled(add_dot16(weights + 4, last_q, first_dot), scales[c], x_scale, acc[r][c]);
        }
        if (kKind == Kind::kScale32Min) {
          const float total = static_cast<float>(group_sum(t, r, g));
          acc[r][c] = vfmaq_n_f32(acc[r][c], vmulq_n_f32(second[c], x_scale), total);
        }
      }
    }
  }
  store_rows(args, tile, quad, row, acc);
}

template <int kRows, Kind kKind>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kQuads = quads_per_pass(kRows);
  for (int quad = 0; quad < kTileQuads; quad += kQuads) {
    multiply_quads<kRows, kQuads, kKind>(args, tile, quad, row);
  }
}

template <Kind kKind>
constexpr AirTileKernel kKernels[6] = {multiply<1, kKind>, multiply<2, kKind>, multiply<3, kKind>,
                                       multiply<4, kKind>, multiply<5, kKind>, multiply<6, kKind>};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_tiles(args, kKernels<Kind::kScale16>);
  } else {
    run_tiles(args, args->weights->has_min ? kKernels<Kind::kScale32Min> : kKernels<Kind::kScale32>);
  }
}

}  // namespace air::neon
