// y = W x for 8-bit weights, scaled per 32 or 16 values, against int8 activations.
#include <math.h>

#include "kernels/reference/matmul.h"
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

// Integer dot product of `count` values of one tile row. values: [count / 4][16][4]; q: [count].
int32_t dot_product(const uint8_t* values, int64_t lane, const int8_t* q, int64_t count) {
  int32_t dot = 0;
  for (int64_t k = 0; k < count; ++k) {
    dot += static_cast<int8_t>(values[(k / 4) * 64 + lane * 4 + k % 4]) * q[k];
  }
  return dot;
}

float output(const AirMatrix& w, const AirActivations& x, int64_t row, int64_t column) {
  const uint8_t* tile = w.data + (column / AIR_TILE_ROWS) * w.tile_stride;
  const int64_t lane = column % AIR_TILE_ROWS;
  const int64_t groups = w.cols / AIR_GROUP;
  float acc = 0.0f;
  for (int64_t k = 0; k < w.cols; k += w.scale_group) {
    const int64_t group = row * groups + k / AIR_GROUP;
    const float x_scale = x.scales[group];
    const uint8_t* values = tile + w.values_offset + k * AIR_TILE_ROWS;
    const int32_t dot = dot_product(values, lane, x.q + row * w.cols + k, w.scale_group);
    const float scale = read_half(tile, k / w.scale_group * AIR_TILE_ROWS + lane);
    acc = fmaf(static_cast<float>(dot), scale * x_scale, acc);
    if (w.has_min) {
      const float min = read_half(tile + w.mins_offset, k / AIR_GROUP * AIR_TILE_ROWS + lane);
      acc = fmaf(static_cast<float>(x.sums16[2 * group] + x.sums16[2 * group + 1]), min * x_scale, acc);
    }
  }
  return acc;
}

}  // namespace

void matmul_int8(const AirMatmulArgs* args) { each_output(*args, output); }

}  // namespace air::reference
