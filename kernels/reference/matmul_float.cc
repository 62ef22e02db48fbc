// y = W x for binary16 and binary32 weights against float32 activations.
#include "kernels/reference/matmul.h"
#include "kernels/reference/ops.h"
#include "kernels/reference/scalar.h"

namespace air::reference {
namespace {

float weight_f16(const uint8_t* values, int64_t index) { return read_half(values, index); }

float weight_f32(const uint8_t* values, int64_t index) {
  float value;
  memcpy(&value, values + 4 * index, sizeof value);
  return value;
}

// Two chains by the parity of k, so that a vector unit need not wait for one.
template <float (*weight)(const uint8_t*, int64_t)>
float output(const AirMatrix& w, const AirActivations& x, int64_t row, int64_t column) {
  const uint8_t* values = w.data + (column / AIR_TILE_ROWS) * w.tile_stride + w.values_offset;
  const int64_t lane = column % AIR_TILE_ROWS;
  float acc[2] = {0.0f, 0.0f};
  for (int64_t k = 0; k < w.cols; ++k) {
    acc[k % 2] = fmaf(weight(values, k * AIR_TILE_ROWS + lane), x.values[row * w.cols + k], acc[k % 2]);
  }
  return acc[0] + acc[1];
}

}  // namespace

void matmul_f16(const AirMatmulArgs* args) { each_output(*args, output<weight_f16>); }
void matmul_f32(const AirMatmulArgs* args) { each_output(*args, output<weight_f32>); }

}  // namespace air::reference
