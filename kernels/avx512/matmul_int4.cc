// y = W x for 4-bit weights in groups of 32 against int8 activations. Lanes are the 16 outputs of a tile.
#include "kernels/avx512/matmul.h"
#include "kernels/avx512/ops.h"
#include "kernels/shared/panel.h"

namespace air::avx512 {
namespace {

constexpr int kGroupBytes = 256;
constexpr int32_t kOffset = 8;  // weights without mins are stored 8 too large

// The 32 k of a group as eight registers; quads[j]: k = 4 j .. 4 j + 3, unsigned.
static inline void load_quads(const uint8_t* values, __m512i (&quads)[8]) {
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  AIR_UNROLL
  for (int j = 0; j < 4; ++j) {
    const __m512i packed = _mm512_loadu_si512(values + 64 * j);
    quads[j] = _mm512_and_si512(packed, low_nibbles);
    quads[j + 4] = _mm512_and_si512(_mm512_srli_epi16(packed, 4), low_nibbles);
  }
}

// One step of the canonical order, for 16 outputs.
template <bool kHasMin>
static inline __m512 add_group(__m512 acc, const __m512i (&quads)[8], __m512 scales, __m512 mins,
                               const PanelGroup& x) {
  const __m512 x_scale = _mm512_set1_ps(x.scale);
  __m512i dot = kHasMin ? _mm512_setzero_si512() : _mm512_set1_epi32(x.start);
  AIR_UNROLL
  for (int j = 0; j < 8; ++j) dot = _mm512_dpbusd_epi32(dot, quads[j], broadcast_quad(x.q + 4 * j));
  acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales, x_scale), acc);
  if (kHasMin) acc = _mm512_fmadd_ps(_mm512_set1_ps(x.total), _mm512_mul_ps(mins, x_scale), acc);
  return acc;
}

template <int kRows, bool kHasMin>
void multiply_panel(const AirMatmulArgs* args, const PanelGroup* panel, int64_t tile, int64_t row) {
  const IntegerTile t = integer_tile(args, tile);
  __m512 acc[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();
  for (int64_t g = 0; g < t.groups; ++g, panel += kRows) {
    prefetch_step(t.scales, g, t.group_bytes, kGroupBytes / 64 + 1);
    __m512i quads[8];
    load_quads(t.values + g * kGroupBytes, quads);
    const __m512 scales = load_halves(t.scales + 32 * g);
    __m512 mins = _mm512_setzero_ps();
    if (kHasMin) mins = load_halves(t.mins + 32 * g);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = add_group<kHasMin>(acc[r], quads, scales, mins, panel[r]);
  }
  store_rows(args, tile, row, acc);
}

template <bool kHasMin>
constexpr PanelKernel<PanelGroup> kInPanel[kPanelRows] = {
    multiply_panel<1, kHasMin>,  multiply_panel<2, kHasMin>,  multiply_panel<3, kHasMin>,
    multiply_panel<4, kHasMin>,  multiply_panel<5, kHasMin>,  multiply_panel<6, kHasMin>,
    multiply_panel<7, kHasMin>,  multiply_panel<8, kHasMin>,  multiply_panel<9, kHasMin>,
    multiply_panel<10, kHasMin>, multiply_panel<11, kHasMin>, multiply_panel<12, kHasMin>,
};

}  // namespace

void matmul_int4(const AirMatmulArgs* args) {
  if (args->weights->has_min) {
    run_panels(args, kInPanel<true>, kOffset);
  } else {
    run_panels(args, kInPanel<false>, kOffset);
  }
}

}  // namespace air::avx512
