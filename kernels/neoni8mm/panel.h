// The loops of the integer matmuls over a tile and a panel of activation rows, in the shape of smmla. It
// multiplies 8 k of two activation rows by 8 k of two outputs, and adds to a register of four sums:
//     [row 0 output 0, row 0 output 1, row 1 output 0, row 1 output 1]
// Weights lie in memory as it wants them (AIR_LAYOUT_PAIRS), activations are paired while the panel is filled,
// and the float32 sums keep its order until they are stored: per group, only scales change their order.
#ifndef AIR_KERNELS_NEONI8MM_PANEL_H_
#define AIR_KERNELS_NEONI8MM_PANEL_H_

#include "kernels/neoni8mm/weights.h"
#include "kernels/shared/panel.h"

namespace air::neoni8mm {

// One group of 32 of two rows. The last of an odd number of rows is paired with itself.
struct alignas(32) PanelPair {
  static constexpr int kRows = 2;
  int8_t q[kChunks][kRows][8];
  float scale[kRows][2];  // twice, as the sums lie
  float total[kRows][2];  // sum of q, for the mins
};

// panel: [cols / 32][pairs of rows]
static inline void fill_panel(const AirMatmulArgs* args, int64_t row, int64_t rows, int32_t,
                              PanelPair* panel) {
  const AirActivations& x = *args->x;
  const int64_t groups = x.cols / AIR_GROUP;
  const int64_t pairs = (rows + 1) / 2;
  for (int64_t r = 0; r < 2 * pairs; ++r) {
    const int64_t source = row + (r < rows ? r : rows - 1);
    const int8_t* q = x.q + source * x.cols;
    const float* scales = x.scales + source * groups;
    const int32_t* sums16 = x.sums16 + source * groups * 2;
    for (int64_t g = 0; g < groups; ++g) {
      PanelPair& to = panel[g * pairs + r / 2];
      for (int c = 0; c < kChunks; ++c) memcpy(to.q[c][r % 2], q + AIR_GROUP * g + 8 * c, 8);
      for (float& scale : to.scale[r % 2]) scale = scales[g];
      for (float& total : to.total[r % 2]) total = static_cast<float>(sums16[2 * g] + sums16[2 * g + 1]);
    }
  }
}

// dots = products of a pair of rows with pairs of outputs over the chunks [kBegin, kEnd), chunk by chunk, so
// that no smmla waits for the one before it.
template <int kBegin, int kEnd, int kPairs>
static inline void multiply_chunks(const int8x16_t (&weights)[kPairs][kChunks], const PanelPair& x,
                                   int32x4_t (&dots)[kPairs]) {
  int8x16_t q[kChunks];
  AIR_UNROLL
  for (int c = kBegin; c < kEnd; ++c) q[c] = neon::load_bytes(x.q[c]);
  AIR_UNROLL
  for (int32x4_t& dot : dots) dot = vdupq_n_s32(0);
  AIR_UNROLL
  for (int c = kBegin; c < kEnd; ++c) {
    AIR_UNROLL
    for (int p = 0; p < kPairs; ++p) dots[p] = vmmlaq_s32(dots[p], q[c], weights[p][c]);
  }
}

// One step of the canonical order for kPairs pairs of outputs from `pair` on. acc: [kRowPairs][8]
template <typename Weights, int kPairs, int kRowPairs>
static inline void add_group(const uint8_t* values, const GroupScales& scales, int pair,
                             const PanelPair* panel, float32x4_t (*acc)[kTilePairs]) {
  constexpr Kind kKind = Weights::kKind;
  constexpr int kFirstEnd = kKind == Kind::kScale16 ? kChunks / 2 : kChunks;
  int8x16_t weights[kPairs][kChunks];
  load_weights<Weights>(values, pair, weights);
  float32x4_t first[kPairs], second[kPairs];
  load_spread(scales.first + 4 * pair, first);
  if constexpr (kKind != Kind::kScale32) load_spread(scales.second + 4 * pair, second);
  AIR_UNROLL
  for (int r = 0; r < kRowPairs; ++r) {
    const PanelPair& x = panel[r];
    int32x4_t dots[kPairs];
    multiply_chunks<0, kFirstEnd>(weights, x, dots);
    const float32x4_t x_scale = vld1q_f32(x.scale[0]);
    // Loaded and stored together, so that the compiler moves two registers at a time.
    float32x4_t sums[kPairs];
    AIR_UNROLL
    for (int p = 0; p < kPairs; ++p) sums[p] = acc[r][pair + p];
    add_scaled<Weights>(dots, first, x_scale, sums);
    if constexpr (kKind == Kind::kScale16) {
      multiply_chunks<kFirstEnd, kChunks>(weights, x, dots);
      add_scaled<Weights>(dots, second, x_scale, sums);
    }
    if constexpr (kKind == Kind::kScale32Min) add_mins(vld1q_f32(x.total[0]), second, x_scale, sums);
    AIR_UNROLL
    for (int p = 0; p < kPairs; ++p) acc[r][pair + p] = sums[p];
  }
}

// The sums of pairs of rows and outputs as rows of quads.
template <int kRows, int kRowPairs>
static inline void store_pairs(const AirMatmulArgs* args, int64_t tile, int64_t row,
                               const float32x4_t (&acc)[kRowPairs][kTilePairs]) {
  float32x4_t rows[kRows][kTileQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kTileQuads; ++c) {
      const float64x2_t low = vreinterpretq_f64_f32(acc[r / 2][2 * c]);
      const float64x2_t high = vreinterpretq_f64_f32(acc[r / 2][2 * c + 1]);
      rows[r][c] = vreinterpretq_f32_f64(r % 2 == 0 ? vzip1q_f64(low, high) : vzip2q_f64(low, high));
    }
  }
  neon::store_rows(args, tile, 0, row, rows);
}

// Up to four rows take four outputs at a time, which leaves registers for half of their sums or more. The sums
// of more rows live in memory, and the registers hold the weights of eight outputs.
template <typename Weights, int kRows>
static void multiply_panel(const AirMatmulArgs* args, const PanelPair* panel, int64_t tile, int64_t row) {
  constexpr int kRowPairs = (kRows + 1) / 2;
  constexpr int kPairs = kRowPairs <= 2 ? 2 : 4;
  const IntegerTile t = integer_tile(args, tile);
  float32x4_t acc[kRowPairs][kTilePairs];
  AIR_UNROLL
  for (int r = 0; r < kRowPairs; ++r) {
    AIR_UNROLL
    for (int p = 0; p < kTilePairs; ++p) acc[r][p] = vdupq_n_f32(0.0f);
  }
  for (int64_t g = 0; g < t.groups; ++g, panel += kRowPairs) {
    prefetch_step(t.scales, g, t.group_bytes, Weights::kBytes / 64 + 1);
    const uint8_t* values = t.values + g * Weights::kBytes;
    const GroupScales scales = group_scales<Weights::kKind>(t, g);
    if constexpr (kPairs == 2) {
      AIR_UNROLL
      for (int p = 0; p < kTilePairs; p += kPairs) {
        add_group<Weights, kPairs, kRowPairs>(values, scales, p, panel, acc);
      }
    } else {
      for (int p = 0; p < kTilePairs; p += kPairs) {
        // GCC would otherwise load the whole panel before the loop, and spill it.
        asm("" : "+r"(panel));
        add_group<Weights, kPairs, kRowPairs>(values, scales, p, panel, acc);
      }
    }
  }
  store_pairs<kRows>(args, tile, row, acc);
}

// Products of a row, which the panel holds twice, with a pair of outputs over the chunks [kBegin, kEnd):
// [output 0 k 0 .. 3, output 0 k 4 .. 7, output 1 k 0 .. 3, output 1 k 4 .. 7] of every chunk.
template <int kBegin, int kEnd>
static inline int32x4_t dot_chunks(const int8x16_t (&weights)[kChunks], const int8x16_t (&q)[kChunks]) {
  int32x4_t dot = vdupq_n_s32(0);
  AIR_UNROLL
  for (int c = kBegin; c < kEnd; ++c) dot = vdotq_s32(dot, weights[c], q[c]);
  return dot;
}

// One row. smmla would compute every sum twice; sdot needs no more instructions for them, and an addition of
// neighbours makes quads of outputs, so that scales are multiplied once.
template <typename Weights>
static void multiply_row(const AirMatmulArgs* args, const PanelPair* panel, int64_t tile, int64_t row) {
  constexpr Kind kKind = Weights::kKind;
  constexpr int kFirstEnd = kKind == Kind::kScale16 ? kChunks / 2 : kChunks;
  const IntegerTile t = integer_tile(args, tile);
  float32x4_t acc[1][kTileQuads];
  AIR_UNROLL
  for (float32x4_t& sum : acc[0]) sum = vdupq_n_f32(0.0f);
  for (int64_t g = 0; g < t.groups; ++g, ++panel) {
    prefetch_step(t.scales, g, t.group_bytes, Weights::kBytes / 64 + 1);
    const uint8_t* values = t.values + g * Weights::kBytes;
    const GroupScales scales = group_scales<kKind>(t, g);
    int8x16_t q[kChunks];
    AIR_UNROLL
    for (int c = 0; c < kChunks; ++c) q[c] = neon::load_bytes(panel->q[c]);
    int32x4_t dots[kTileQuads], last_dots[kTileQuads];
    AIR_UNROLL
    for (int c = 0; c < kTileQuads; ++c) {
      int8x16_t weights[2][kChunks];
      load_weights<Weights>(values, 2 * c, weights);
      dots[c] = vpaddq_s32(dot_chunks<0, kFirstEnd>(weights[0], q), dot_chunks<0, kFirstEnd>(weights[1], q));
      last_dots[c] = vpaddq_s32(dot_chunks<kFirstEnd, kChunks>(weights[0], q),
                                dot_chunks<kFirstEnd, kChunks>(weights[1], q));
    }
    const float32x4_t x_scale = vld1q_f32(panel->scale[0]);
    float32x4_t first[kTileQuads], second[kTileQuads];
    neon::load_halves(scales.first, first);
    add_scaled<Weights>(dots, first, x_scale, acc[0]);
    if constexpr (kKind != Kind::kScale32) neon::load_halves(scales.second, second);
    if constexpr (kKind == Kind::kScale16) add_scaled<Weights>(last_dots, second, x_scale, acc[0]);
    if constexpr (kKind == Kind::kScale32Min) add_mins(vld1q_f32(panel->total[0]), second, x_scale, acc[0]);
  }
  neon::store_rows(args, tile, 0, row, acc);
}

template <typename Weights>
static constexpr PanelKernel<PanelPair> kInPanel[kPanelRows] = {
    multiply_row<Weights>,       multiply_panel<Weights, 2>,  multiply_panel<Weights, 3>,
    multiply_panel<Weights, 4>,  multiply_panel<Weights, 5>,  multiply_panel<Weights, 6>,
    multiply_panel<Weights, 7>,  multiply_panel<Weights, 8>,  multiply_panel<Weights, 9>,
    multiply_panel<Weights, 10>, multiply_panel<Weights, 11>, multiply_panel<Weights, 12>,
};

}  // namespace air::neoni8mm

#endif  // AIR_KERNELS_NEONI8MM_PANEL_H_
