// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are outputs of a tile.
#include "kernels/neon/matmul.h"
#include "kernels/neon/ops.h"

namespace air::neon {
namespace {

constexpr int kGroupBytes = 256;

// What the nibbles become before they are multiplied.
enum class Form {
  kWithMin,  // q, which is what weights with mins mean
  kOffset,   // q; 8 times the sum of the activations is taken off: work per activation row
  kTimes16,  // 16 (q - 8); the conversion to float divides by 16: one instruction more per 16 bytes
};

// weights[j]: k = 4 j .. 4 j + 3 of the group. values: a quad of the group, [4][16][4] bytes.
template <Form kForm>
inline void unpack(const uint8_t* values, int8x16_t (&weights)[8]) {
  AIR_UNROLL
  for (int j = 0; j < 4; ++j) {
    const uint8x16_t packed = vld1q_u8(values + 64 * j);
    if (kForm == Form::kTimes16) {
      const uint8x16_t flipped = veorq_u8(packed, vdupq_n_u8(0x88));  // q - 8 as signed nibbles
      weights[j] = vreinterpretq_s8_u8(vshlq_n_u8(flipped, 4));
      weights[j + 4] = vreinterpretq_s8_u8(vandq_u8(flipped, vdupq_n_u8(0xf0)));
    } else {
      weights[j] = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
      weights[j + 4] = vreinterpretq_s8_u8(vshrq_n_u8(packed, 4));
    }
  }
}

template <int kRows, int kQuads, Form kForm>
inline void multiply_quads(const AirMatmulArgs* args, int64_t tile, int quad, int64_t row) {
  const IntegerTile t = integer_tile(args, tile, quad, row);
  float32x4_t acc[kRows][kQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) acc[r][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < t.groups; ++g) {
    prefetch_step(t.start, g, t.group_bytes, kGroupBytes / 64 + 1);
    float32x4_t scales[kQuads], mins[kQuads];
    load_halves(t.scales + 32 * g, scales);
    if (kForm == Form::kWithMin) load_halves(t.mins + 32 * g, mins);
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) {
      int8x16_t weights[8];
      unpack<kForm>(t.values + g * kGroupBytes + kQuadBytes * c, weights);
      AIR_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int8_t* q = t.q + r * t.cols + AIR_GROUP * g;
        const float x_scale = t.x_scales[r * t.groups + g];
        int32x4_t dot = vdupq_n_s32(kForm == Form::kOffset ? -8 * group_sum(t, r, g) : 0);
        dot = add_dot16(weights, load_bytes(q), dot);
        dot = add_dot16(weights + 4, load_bytes(q + 16), dot);
        const float32x4_t product = kForm == Form::kTimes16 ? vcvtq_n_f32_s32(dot, 4) : vcvtq_f32_s32(dot);
        acc[r][c] = vfmaq_f32(acc[r][c], product, vmulq_n_f32(scales[c], x_scale));
        if (kForm == Form::kWithMin) {
          const float total = static_cast<float>(group_sum(t, r, g));
          acc[r][c] = vfmaq_n_f32(acc[r][c], vmulq_n_f32(mins[c], x_scale), total);
        }
      }
    }
  }
  store_rows(args, tile, quad, row, acc);
}

template <int kRows, bool kHasMin>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kQuads = quads_per_pass(kRows);
  // Per group, kTimes16 takes 4 instructions per quad, kOffset 4 per activation row and pass.
  constexpr Form kForm = kHasMin ? Form::kWithMin : (kRows <= 4 ? Form::kOffset : Form::kTimes16);
  for (int quad = 0; quad < kTileQuads; quad += kQuads) {
    multiply_quads<kRows, kQuads, kForm>(args, tile, quad, row);
  }
}

template <bool kHasMin>
constexpr AirTileKernel kKernels[6] = {multiply<1, kHasMin>, multiply<2, kHasMin>, multiply<3, kHasMin>,
                                       multiply<4, kHasMin>, multiply<5, kHasMin>, multiply<6, kHasMin>};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  run_tiles(args, args->weights->has_min ? kKernels<true> : kKernels<false>);
}

}  // namespace air::neon
