// The loop of the integer matmuls over a tile and a panel of activation rows. The weights of four outputs and a
// group of k stay in eight registers while the rows pass in blocks of four, each with two registers of
// activations (whose lanes sdot takes one by one, so nothing is broadcast) and one of sums. The float32 sums of
// more than four rows live in memory meanwhile.
#ifndef AIR_KERNELS_NEON_PANEL_H_
#define AIR_KERNELS_NEON_PANEL_H_

#include "kernels/neon/matmul.h"
#include "kernels/shared/panel.h"

namespace air::neon {

constexpr int kBlockRows = 4;

// One group of 32 of one row. A cache line; the start takes four lanes, so that a plain load makes a register
// of it: filling one from a lane would occupy the pipes that multiply.
struct alignas(64) PanelGroup {
  static constexpr int kRows = 1;
  int8_t q[AIR_GROUP];
  int32_t start[4];  // what a dot product with the stored weights starts from
  float scale;
  float total;  // sum of q, for the mins
};

static inline void fill_group(const int8_t* q, float scale, const int32_t* sums16, int32_t offset, bool,
                              PanelGroup* to) {
  memcpy(to->q, q, AIR_GROUP);
  const int32_t sum = sums16[0] + sums16[1];
  for (int32_t& lane : to->start) lane = -offset * sum;
  to->scale = scale;
  to->total = static_cast<float>(sum);
}

// dots += products over half kHalf of a group, row by row within each lane of k, so that no sdot waits for the
// one before it. weights: [8] of the group.
template <int kHalf, int kRows>
static inline void add_half(const int8x16_t* weights, const PanelGroup* x, int32x4_t (&dots)[kRows]) {
  const int8x16_t* half = weights + 4 * kHalf;
  int8x16_t q[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) q[r] = load_bytes(x[r].q + 16 * kHalf);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) dots[r] = vdotq_laneq_s32(dots[r], half[0], q[r], 0);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) dots[r] = vdotq_laneq_s32(dots[r], half[1], q[r], 1);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) dots[r] = vdotq_laneq_s32(dots[r], half[2], q[r], 2);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) dots[r] = vdotq_laneq_s32(dots[r], half[3], q[r], 3);
}

// acc + dot * scales * x_scale with the canonical roundings.
static inline float32x4_t add_scaled(int32x4_t dot, float32x4_t scales, float x_scale, float32x4_t acc) {
  return vfmaq_f32(acc, vcvtq_f32_s32(dot), vmulq_n_f32(scales, x_scale));
}

// acc + total * mins * x_scale; total: sum of the activations of the group.
static inline float32x4_t add_min(float total, float32x4_t mins, float x_scale, float32x4_t acc) {
  return vfmaq_n_f32(acc, vmulq_n_f32(mins, x_scale), total);
}

// Weights: a kind of weights, with
//   kBytes                                      of the values of one group of a tile
//   Scales, load_scales(tile, g, &scales)       of group g
//   unpack(values, weights)                     one quad of outputs; weights[j]: k = 4 j .. 4 j + 3 of the group
//   add_rows<kRows>(weights, scales, c, x, acc) one step of the canonical order for quad c; acc: [kRows][4]
template <typename Weights, int kRows>
static inline void add_quad(const uint8_t* values, const typename Weights::Scales& scales, int c,
                            const PanelGroup* x, float32x4_t (*acc)[kTileQuads]) {
  constexpr int kWholeBlocks = kRows / kBlockRows * kBlockRows;
  int8x16_t weights[8];
  Weights::unpack(values + kQuadBytes * c, weights);
  AIR_UNROLL
  for (int r = 0; r < kWholeBlocks; r += kBlockRows) {
    Weights::template add_rows<kBlockRows>(weights, scales, c, x + r, acc + r);
  }
  if constexpr (kRows != kWholeBlocks) {
    Weights::template add_rows<kRows - kWholeBlocks>(weights, scales, c, x + kWholeBlocks,
                                                     acc + kWholeBlocks);
  }
}

template <typename Weights, int kRows>
static void multiply_panel(const AirMatmulArgs* args, const PanelGroup* panel, int64_t tile, int64_t row) {
  const IntegerTile t = integer_tile(args, tile);
  float32x4_t acc[kRows][kTileQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kTileQuads; ++c) acc[r][c] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < t.groups; ++g, panel += kRows) {
    prefetch_step(t.scales, g, t.group_bytes, Weights::kBytes / 64 + 1);
    const uint8_t* values = t.values + g * Weights::kBytes;
    typename Weights::Scales scales;
    Weights::load_scales(t, g, &scales);
    if (kRows <= kBlockRows) {
      AIR_UNROLL
      for (int c = 0; c < kTileQuads; ++c) add_quad<Weights, kRows>(values, scales, c, panel, acc);
    } else {
      for (int c = 0; c < kTileQuads; ++c) {
        // GCC would otherwise load the whole panel before the loop, and spill it.
        asm("" : "+r"(panel));
        add_quad<Weights, kRows>(values, scales, c, panel, acc);
      }
    }
  }
  store_rows(args, tile, 0, row, acc);
}

template <typename Weights>
static constexpr PanelKernel<PanelGroup> kInPanel[kPanelRows] = {
    multiply_panel<Weights, 1>,  multiply_panel<Weights, 2>,  multiply_panel<Weights, 3>,
    multiply_panel<Weights, 4>,  multiply_panel<Weights, 5>,  multiply_panel<Weights, 6>,
    multiply_panel<Weights, 7>,  multiply_panel<Weights, 8>,  multiply_panel<Weights, 9>,
    multiply_panel<Weights, 10>, multiply_panel<Weights, 11>, multiply_panel<Weights, 12>,
};

}  // namespace air::neon

#endif  // AIR_KERNELS_NEON_PANEL_H_
