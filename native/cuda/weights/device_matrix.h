// Packed matrices of the CPU's format (kernels/include/air_formats.h, AIR_LAYOUT_QUADS) as one matrix on the device
// (kernels/cuda/matmul_params.h, which draws the bytes).
#ifndef AIR_CUDA_WEIGHTS_DEVICE_MATRIX_H_
#define AIR_CUDA_WEIGHTS_DEVICE_MATRIX_H_

#include <cstdint>
#include <vector>

#include "kernels/cuda/matmul_params.h"
#include "kernels/include/air_formats.h"
#include "native/core/status.h"

namespace air::cuda {

// Which output row of which source a row of the device's tiles holds.
enum class Arrangement {
  kStacked,  // the sources one after the other, each from a whole tile on: projections that share an input
  kPaired,   // two sources, 8 rows of each in a tile: gate and up for MatmulStore::kSwiglu
};

struct DeviceMatrix {
  WeightFormat format = WeightFormat::kF32;
  Arrangement arrangement = Arrangement::kStacked;
  int32_t cols = 0;
  int32_t tiles = 0;
  int32_t outputs = 0;  // columns of y (kPaired: of the hidden row)
  int64_t tile_stride = 0;
  int64_t bytes = 0;  // of all tiles
  struct Source {
    int32_t rows = 0;
    int32_t first_tile = 0;  // kStacked: its columns of y begin at 16 first_tile. kPaired: 0
  };
  std::vector<Source> sources;
};

// True when the matrices have one class, one set of scales and mins, and as many columns: then they may share a
// launch. Paired matrices must have as many rows as each other, and weights of float32 do not pair.
bool can_arrange(const AirMatrix* const* sources, int count, Arrangement arrangement) noexcept;

// AIR_ERR_ARGUMENT for matrices that cannot be arranged so, AIR_ERR_UNSUPPORTED for another layout than QUADS or for
// sizes beyond 32 bits. Does not look at the data.
Status plan_device_matrix(const AirMatrix* const* sources, int count, Arrangement arrangement,
                          DeviceMatrix* matrix);

// Writes the device tiles [tile_begin, tile_end) to `out`, the place of tile_begin. sources: as planned, with their
// data. Thread-safe for disjoint ranges. `out` is read as well as written: not for write-combined memory.
void pack_device_tiles(const DeviceMatrix& matrix, const AirMatrix* const* sources, int64_t tile_begin,
                       int64_t tile_end, uint8_t* out);

// The bias of each source (or an empty one) in the order of the packed rows, [16 tiles]; empty when all are.
std::vector<float> arrange_bias(const DeviceMatrix& matrix, const std::vector<float>* const* biases);

}  // namespace air::cuda

#endif  // AIR_CUDA_WEIGHTS_DEVICE_MATRIX_H_
