// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations. Lanes are the 16 outputs.
#include "kernels/avx512/matmul.h"
#include "kernels/avx512/ops.h"
#include "kernels/shared/panel.h"

namespace air::avx512 {
namespace {

constexpr int kGroupBytes = 512;
constexpr int32_t kOffset = 128;  // added to the stored weights to make them unsigned

enum class Kind { kScale32, kScale32Min, kScale16 };

// The 32 k of a group as eight registers; quads[j]: k = 4 j .. 4 j + 3, plus 128.
static inline void load_quads(const uint8_t* values, __m512i (&quads)[8]) {
  const __m512i sign_bits = _mm512_set1_epi8(-128);
  AIR_UNROLL
  for (int j = 0; j < 8; ++j) quads[j] = _mm512_xor_si512(_mm512_loadu_si512(values + 64 * j), sign_bits);
}

// The scales of a group, and its mins or the scales of its second half.
struct GroupScales {
  __m512 first, second;
};

template <Kind kKind>
static inline GroupScales load_scales(const IntegerTile& t, int64_t g) {
  if (kKind == Kind::kScale16) return {load_halves(t.scales + 64 * g), load_halves(t.scales + 64 * g + 32)};
  if (kKind == Kind::kScale32Min) return {load_halves(t.scales + 32 * g), load_halves(t.mins + 32 * g)};
  return {load_halves(t.scales + 32 * g), _mm512_setzero_ps()};
}

// acc + dot(quads from kFirst on, q) * scales
template <int kFirst, int kCount>
static inline __m512 add_dot(__m512 acc, int32_t start, const __m512i (&quads)[8], const int8_t* q,
                             __m512 scales) {
  __m512i dot = _mm512_set1_epi32(start);
  AIR_UNROLL
  for (int j = kFirst; j < kFirst + kCount; ++j) {
    dot = _mm512_dpbusd_epi32(dot, quads[j], broadcast_quad(q + 4 * j));
  }
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scales, acc);
}

// One step of the canonical order, for 16 outputs.
template <Kind kKind>
static inline __m512 add_group(__m512 acc, const __m512i (&quads)[8], const GroupScales& scales,
                               const PanelGroup& x) {
  const __m512 x_scale = _mm512_set1_ps(x.scale);
  const __m512 first = _mm512_mul_ps(scales.first, x_scale);
  const __m512 second = _mm512_mul_ps(scales.second, x_scale);
  if (kKind == Kind::kScale16) {
    acc = add_dot<0, 4>(acc, x.start, quads, x.q, first);
    return add_dot<4, 4>(acc, x.second_start, quads, x.q, second);
  }
  acc = add_dot<0, 8>(acc, x.start, quads, x.q, first);
  return kKind == Kind::kScale32Min ? _mm512_fmadd_ps(_mm512_set1_ps(x.total), second, acc) : acc;
}

template <int kRows, Kind kKind>
void multiply_panel(const AirMatmulArgs* args, const PanelGroup* panel, int64_t tile, int64_t row) {
  const IntegerTile t = integer_tile(args, tile);
  __m512 acc[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) acc[r] = _mm512_setzero_ps();
  for (int64_t g = 0; g < t.groups; ++g, panel += kRows) {
    prefetch_step(t.scales, g, t.group_bytes, kGroupBytes / 64 + 1);
    __m512i quads[8];
    load_quads(t.values + g * kGroupBytes, quads);
    const GroupScales scales = load_scales<kKind>(t, g);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = add_group<kKind>(acc[r], quads, scales, panel[r]);
  }
  store_rows(args, tile, row, acc);
}

template <Kind kKind>
constexpr PanelKernel<PanelGroup> kInPanel[kPanelRows] = {
    multiply_panel<1, kKind>, multiply_panel<2, kKind>,  multiply_panel<3, kKind>,  multiply_panel<4, kKind>,
    multiply_panel<5, kKind>, multiply_panel<6, kKind>,  multiply_panel<7, kKind>,  multiply_panel<8, kKind>,
    multiply_panel<9, kKind>, multiply_panel<10, kKind>, multiply_panel<11, kKind>, multiply_panel<12, kKind>,
};

}  // namespace

void matmul_int8(const AirMatmulArgs* args) {
  if (args->weights->scale_group == 16) {
    run_panels(args, kInPanel<Kind::kScale16>, kOffset);
  } else if (args->weights->has_min) {
    run_panels(args, kInPanel<Kind::kScale32Min>, kOffset);
  } else {
    run_panels(args, kInPanel<Kind::kScale32>, kOffset);
  }
}

}  // namespace air::avx512
