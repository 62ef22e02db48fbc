// y = W x for binary16 and binary32 weights against float32 activations. Lanes are the 16 outputs of a tile.
#include "kernels/avx512/matmul.h"
#include "kernels/avx512/ops.h"

namespace air::avx512 {
namespace {

struct Half {
  static constexpr int kBytes = 2;
  static __m512 load(const uint8_t* values) { return load_halves(values); }
};

struct Single {
  static constexpr int kBytes = 4;
  static __m512 load(const uint8_t* values) { return _mm512_loadu_ps(values); }
};

// Two chains by the parity of k, added at the end.
template <int kRows, typename Weight>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kStepBytes = Weight::kBytes * AIR_TILE_ROWS;
  const AirMatrix& w = *args->weights;
  const uint8_t* values = w.data + tile * w.tile_stride + w.values_offset;
  const float* x = args->x->values + row * w.cols;
  __m512 even[kRows], odd[kRows];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = _mm512_setzero_ps();

  int64_t k = 0;
  for (; k + 1 < w.cols; k += 2, values += 2 * kStepBytes) {
    prefetch_step(values, 0, 0, 2 * kStepBytes / 64);
    const __m512 even_weights = Weight::load(values);
    const __m512 odd_weights = Weight::load(values + kStepBytes);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r) {
      even[r] = _mm512_fmadd_ps(even_weights, _mm512_set1_ps(x[r * w.cols + k]), even[r]);
      odd[r] = _mm512_fmadd_ps(odd_weights, _mm512_set1_ps(x[r * w.cols + k + 1]), odd[r]);
    }
  }
  if (k < w.cols) {
    const __m512 weights = Weight::load(values);
    AIR_UNROLL
    for (int r = 0; r < kRows; ++r)
      even[r] = _mm512_fmadd_ps(weights, _mm512_set1_ps(x[r * w.cols + k]), even[r]);
  }
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) even[r] = _mm512_add_ps(even[r], odd[r]);
  store_rows(args, tile, row, even);
}

template <typename Weight>
constexpr AirTileKernel kKernels[12] = {
    multiply<1, Weight>, multiply<2, Weight>,  multiply<3, Weight>,  multiply<4, Weight>,
    multiply<5, Weight>, multiply<6, Weight>,  multiply<7, Weight>,  multiply<8, Weight>,
    multiply<9, Weight>, multiply<10, Weight>, multiply<11, Weight>, multiply<12, Weight>,
};

}  // namespace

void matmul_f16(const AirMatmulArgs* args) { run_tiles(args, kKernels<Half>); }
void matmul_f32(const AirMatmulArgs* args) { run_tiles(args, kKernels<Single>); }

}  // namespace air::avx512
