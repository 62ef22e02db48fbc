// The loop of the integer matmuls over a tile and a panel of activation rows. Rows go in blocks of four against
// all 16 outputs: eight registers of sums, so that one broadcast of activations feeds two dot products and the
// unpacked weights serve four rows. The float32 sums of the panel live in memory meanwhile.
#ifndef AIR_KERNELS_AVX2_PANEL_H_
#define AIR_KERNELS_AVX2_PANEL_H_

#include "kernels/avx2/matmul.h"
#include "kernels/shared/panel.h"

namespace air::avx2 {

constexpr int kBlockRows = 4;

// Makes the compiler compute `sum` here. GCC otherwise postpones the additions of a whole group until after
// all its products, which do not fit the registers: 200 GOPS instead of 300.
static inline void settle(__m256i& sum) { asm("" : "+x"(sum)); }

// Group: a kind of weights, with
//   kBytes                                 of the values of one group of a tile
//   Scales, load_scales(tile, g)           of group g
//   add_rows<kRows>(values, scales, x, acc)  one step of the canonical order; x: [kRows]; acc: [kRows][2]
template <typename Group, int kRows>
static void multiply_panel(const AirMatmulArgs* args, const PanelGroup* panel, int64_t tile, int64_t row) {
  constexpr int kWholeBlocks = kRows / kBlockRows * kBlockRows;
  const IntegerTile t = integer_tile(args, tile);
  __m256 acc[kRows][2];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < t.groups; ++g, panel += kRows) {
    prefetch_step(t.scales, g, t.group_bytes, Group::kBytes / 64 + 1);
    const uint8_t* values = t.values + g * Group::kBytes;
    const typename Group::Scales scales = Group::load_scales(t, g);
    for (int r = 0; r < kWholeBlocks; r += kBlockRows) {
      Group::template add_rows<kBlockRows>(values, scales, panel + r, acc + r);
    }
    if constexpr (kRows != kWholeBlocks) {
      Group::template add_rows<kRows - kWholeBlocks>(values, scales, panel + kWholeBlocks,
                                                     acc + kWholeBlocks);
    }
  }
  store_rows(args, tile, 0, row, acc);
}

template <typename Group>
static constexpr PanelKernel<PanelGroup> kInPanel[kPanelRows] = {
    multiply_panel<Group, 1>, multiply_panel<Group, 2>,  multiply_panel<Group, 3>,  multiply_panel<Group, 4>,
    multiply_panel<Group, 5>, multiply_panel<Group, 6>,  multiply_panel<Group, 7>,  multiply_panel<Group, 8>,
    multiply_panel<Group, 9>, multiply_panel<Group, 10>, multiply_panel<Group, 11>, multiply_panel<Group, 12>,
};

}  // namespace air::avx2

#endif  // AIR_KERNELS_AVX2_PANEL_H_
