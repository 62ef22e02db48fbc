// y = W x for 4-bit weights in groups of 32 against int8 activations.
#include <math.h>

#include "kernels/reference/matmul.h"
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

// Integer dot product of one group. values: the group's [4][16][4] bytes; q: [32] activations.
int32_t group_dot(const uint8_t* values, int64_t lane, const int8_t* q, int32_t zero_point) {
  int32_t dot = 0;
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 4; ++i) {
      const uint8_t byte = values[j * 64 + lane * 4 + i];
      dot += ((byte & 15) - zero_point) * q[4 * j + i];
      dot += ((byte >> 4) - zero_point) * q[16 + 4 * j + i];
    }
  }
  return dot;
}

float output(const AirMatrix& w, const AirActivations& x, int64_t row, int64_t column) {
  const uint8_t* tile = w.data + (column / AIR_TILE_ROWS) * w.tile_stride;
  const int64_t lane = column % AIR_TILE_ROWS;
  const int64_t groups = w.cols / AIR_GROUP;
  float acc = 0.0f;
  for (int64_t g = 0; g < groups; ++g) {
    const int8_t* q = x.q + row * w.cols + g * AIR_GROUP;
    const float x_scale = x.scales[row * groups + g];
    const int32_t dot = group_dot(tile + w.values_offset + g * 256, lane, q, w.has_min ? 0 : 8);
    acc = fmaf(static_cast<float>(dot), read_half(tile, g * AIR_TILE_ROWS + lane) * x_scale, acc);
    if (w.has_min) {
      const int32_t* sums = x.sums16 + (row * groups + g) * 2;
      const float min = read_half(tile + w.mins_offset, g * AIR_TILE_ROWS + lane);
      acc = fmaf(static_cast<float>(sums[0] + sums[1]), min * x_scale, acc);
    }
  }
  return acc;
}

}  // namespace

void matmul_int4(const AirMatmulArgs* args) { each_output(*args, output); }

}  // namespace air::reference
