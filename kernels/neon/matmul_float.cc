// y = W x for binary16 and binary32 weights against float32 activations. Lanes are outputs of a tile. One or two
// activation rows take all quads in one pass over the weights; more rows take two quads at a time, because 32
// registers cannot hold more sums (the second pass finds the weights in the cache).
#include "kernels/neon/matmul.h"
#include "kernels/neon/ops.h"

namespace air::neon {
namespace {

struct Half {
  static constexpr int kBytes = 2;
  template <int kQuads>
  static void load(const uint8_t* values, float32x4_t (&out)[kQuads]) {
    load_halves(values, out);
  }
};

struct Single {
  static constexpr int kBytes = 4;
  template <int kQuads>
  static void load(const uint8_t* values, float32x4_t (&out)[kQuads]) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) out[c] = vld1q_f32(reinterpret_cast<const float*>(values) + 4 * c);
  }
};

// acc += weights of one k times x[k] of every row. values: [4 kQuads]; x: [rows, cols] from k on.
template <int kRows, int kQuads, typename Weight>
inline void add_step(const uint8_t* values, const float* x, int64_t cols, float32x4_t (&acc)[kRows][kQuads]) {
  float32x4_t weights[kQuads];
  Weight::load(values, weights);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) acc[r][c] = vfmaq_n_f32(acc[r][c], weights[c], x[r * cols]);
  }
}

// Two chains by the parity of k, added at the end.
template <int kRows, int kQuads, typename Weight>
inline void multiply_quads(const AirMatmulArgs* args, int64_t tile, int quad, int64_t row) {
  constexpr int kStepBytes = Weight::kBytes * AIR_TILE_ROWS;
  const AirMatrix& w = *args->weights;
  const uint8_t* values = w.data + tile * w.tile_stride + w.values_offset + 4 * Weight::kBytes * quad;
  const float* x = args->x->values + row * w.cols;
  float32x4_t even[kRows][kQuads], odd[kRows][kQuads];
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) even[r][c] = odd[r][c] = vdupq_n_f32(0.0f);
  }
  int64_t k = 0;
  for (; k + 1 < w.cols; k += 2, values += 2 * kStepBytes) {
    prefetch_step(values, 0, 0, 2 * kStepBytes / 64);
    add_step<kRows, kQuads, Weight>(values, x + k, w.cols, even);
    add_step<kRows, kQuads, Weight>(values + kStepBytes, x + k + 1, w.cols, odd);
  }
  if (k < w.cols) add_step<kRows, kQuads, Weight>(values, x + k, w.cols, even);
  AIR_UNROLL
  for (int r = 0; r < kRows; ++r) {
    AIR_UNROLL
    for (int c = 0; c < kQuads; ++c) even[r][c] = vaddq_f32(even[r][c], odd[r][c]);
  }
  store_rows(args, tile, quad, row, even);
}

template <int kRows, typename Weight>
void multiply(const AirMatmulArgs* args, int64_t tile, int64_t row) {
  constexpr int kQuads = kRows <= 2 ? 4 : 2;  // up to 24 registers of sums
  for (int quad = 0; quad < kTileQuads; quad += kQuads) {
    multiply_quads<kRows, kQuads, Weight>(args, tile, quad, row);
  }
}

template <typename Weight>
constexpr AirTileKernel kKernels[6] = {multiply<1, Weight>, multiply<2, Weight>, multiply<3, Weight>,
                                       multiply<4, Weight>, multiply<5, Weight>, multiply<6, Weight>};

}  // namespace

void matmul_f16(const AirMatmulArgs* args) { run_tiles(args, kKernels<Half>); }
void matmul_f32(const AirMatmulArgs* args) { run_tiles(args, kKernels<Single>); }

}  // namespace air::neon
