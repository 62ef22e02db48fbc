// y = W x for binary16 and binary32 weights against float32 activations. Lanes are outputs of a tile.
// One or two activation rows take both halves of a tile in one pass over the weights; three or four rows take
// one half after the other, because 16 registers cannot hold more (the second pass finds the weights in the
// cache).
#include "kernels/avx2/matmul.h"
#include "kernels/avx2/ops.h"

namespace air::avx2 {
namespace {

constexpr int halves_per_pass(int rows) { return rows <= 2 ? 2 : 1; }

struct Half {
  static constexpr int kBytes = 2;
  static __m256 load(const uint8_t* values) { return load_halves(values); }
};

struct Single {
  static constexpr int kBytes = 4;
  static __m256 load(const uint8_t* values) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(values));
  }
};

// acc += weights of one k times x[k] of every row. values: [8 kHalves]; x: [rows, cols] from k on.
template <int kRows, int kHalves, typename Weight>
inline void add_step(const uint8_t* values, const float* x, int64_t cols, __m256 (&acc)[kRows][kHalves]) {
  __m256 weights[kHalves];
  AIR_UNROLL
  for (int h = 0; h < kHalves; ++h) weights[h] = Weight::load(values + 8 * Weight::kBytes * h);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const __m256 x_k = _mm256_set1_ps(x[r * cols]);
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) acc[r][h] = _mm256_fmadd_ps(weights[h], x_k, acc[r][h]);
  }
}

// Two chains by the parity of k, added at the end.
template <int kRows, int kHalves, typename Weight>
inline void multiply_halves(const AirMatmulArgs* args, int64_t tile, int half, int64_t row) {
  constexpr int kStepBytes = Weight::kBytes * AIR_TILE_ROWS;
  const AirMatrix& w = *args->weights;
  const uint8_t* values = w.data + tile * w.tile_stride + w.values_offset + 8 * Weight::kBytes * half;
  const float* x = args->x->values + row * w.cols;
  __m256 even[kRows][kHalves], odd[kRows][kHalves];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) even[r][h] = odd[r][h] = _mm256_setzero_ps();
  }
  int64_t k = 0;
  for (; k + 1 < w.cols; k += 2, values += 2 * kStepBytes) {
    prefetch_step(values, 0, 0, 2 * kStepBytes / 64);
    add_step<kRows, kHalves, Weight>(values, x + k, w.cols, even);
    add_step<kRows, kHalves, Weight>(values + kStepBytes, x + k + 1, w.cols, odd);
  }
  if (k < w.cols) add_step<kRows, kHalves, Weight>(values, x + k, w.cols, even);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int h = 0; h < kHalves; ++h) even[r][h] = _mm256_add_ps(even[r][h], odd[r][h]);
  }
  store_rows(args, tile, half, row, even);
}

template <int kRows, typename Weight>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kHalves = halves_per_pass(kRows);
  for (int half = 0; half < 2; half += kHalves)
    multiply_halves<kRows, kHalves, Weight>(args, tile, half, row);
}

template <typename Weight>
constexpr AirTileKernel kKernels[4] = {multiply<1, Weight>, multiply<2, Weight>, multiply<3, Weight>,
                                       multiply<4, Weight>};

}  // namespace

void matmul_f16(const AirMatmulArgs* args) { run_tiles(args, kKernels<Half>); }
void matmul_f32(const AirMatmulArgs* args) { run_tiles(args, kKernels<Single>); }

}  // namespace air::avx2
