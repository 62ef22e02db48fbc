// What the matmul kernels and the host share: the format of weights on the device and the parameters of a launch.
// Plain C++ for both compilers.
#ifndef AIR_KERNELS_CUDA_MATMUL_PARAMS_H_
#define AIR_KERNELS_CUDA_MATMUL_PARAMS_H_

#include <stdint.h>

// A function that both host and device call.
#ifdef __CUDACC__
#define AIR_HOST_DEVICE __host__ __device__
#else
#define AIR_HOST_DEVICE
#endif

namespace air::cuda {

// ---------------------------------------------------------------------------------------------------------
// Weights on the device
//
// W is [rows, cols] with y = W x, cut into tiles of 16 output rows as on the CPU (kernels/include/air_formats.h), but
// each tile is a run of chunks of 64 k in the order in which mma.m16n8k16 wants its A operand: the bytes that a
// lane loads are its own registers, and a warp's loads have no gaps. Nothing is shuffled or transposed on the
// device.
//
//   tile  = chunk 0, chunk 1, .. chunk ceil(cols / 64) - 1      chunks beyond cols are zero weights
//   chunk = [values][scale records]
//
//   With lane = 4 g + t (g = 0..7, t = 0..3), half h = 0, 1 (32 k each), step j = 0, 1 (16 k of the half each) and
//   register r = 0..3 of a step: row of the tile = g + 8 (r % 2), and the two k in the register, low half first, are
//     k(h, j, t, r) = 32 h + first(j, t) + 2 (r / 2) + {0, 1}
//     first(j, t) = 8 t + 4 j      so that a lane's k of a half are 8 neighbours: 16 bytes of the activations
//     first(j, t) = 16 j + 4 t     INT8_GROUP16: a step must lie within one scale group
//
//   values, by format
//     INT4*  512 bytes   [h][32 lanes][j] words of 8 nibbles. Nibble r holds the low half of register r, nibble r + 4
//                        the high half: with one mask a register falls out of the word. Stored as q = w / scale + 8.
//     INT8*  1024 bytes  [h][32 lanes][j][4 registers][2] bytes. Stored as q + 128.
//     F16    2048 bytes  [h][j][32 lanes][4 registers][2] halves
//   scale records [h][g], each of float16
//     INT4, INT8           4 bytes   scale of row g, of row g + 8
//     INT4_MIN, INT8_MIN   8 bytes   scale of row g, of row g + 8, min of row g, of row g + 8
//     INT8_GROUP16         8 bytes   scales of j = 0, 1 of row g, of row g + 8
//     F16                  none
//
// A weight is scale * q + min with the integers and float16 numbers of the CPU's format: nothing is rounded anew.
// F32 tiles are the CPU's bytes, float [cols][16].
//
// Matrices that share their input may share a launch (native/cuda/weights): stacked, one after the other, each filled
// up to whole tiles, or paired, which SwiGLU wants: tile i holds the rows 8 i .. 8 i + 7 of the gate in its rows 0..7
// and those of the up projection in its rows 8..15, so that one lane holds both.
// ---------------------------------------------------------------------------------------------------------
enum class WeightFormat : int32_t {
  kInt4 = 0,
  kInt4Min = 1,
  kInt8 = 2,
  kInt8Min = 3,
  kInt8Group16 = 4,
  kF16 = 5,
  kF32 = 6,
};
constexpr int kWeightFormats = 7;

constexpr int32_t kTileRows = 16;
constexpr int32_t kChunkColumns = 64;

AIR_HOST_DEVICE constexpr int32_t chunk_value_bytes(WeightFormat format) {
  return format == WeightFormat::kInt4 || format == WeightFormat::kInt4Min ? 512
         : format == WeightFormat::kF16                                    ? 2048
         : format == WeightFormat::kF32                                    ? 4096
                                                                           : 1024;
}
// Of one half and g.
AIR_HOST_DEVICE constexpr int32_t scale_record_bytes(WeightFormat format) {
  return format == WeightFormat::kInt4 || format == WeightFormat::kInt8 ? 4
         : format == WeightFormat::kF16 || format == WeightFormat::kF32 ? 0
                                                                        : 8;
}
AIR_HOST_DEVICE constexpr int32_t chunk_bytes(WeightFormat format) {
  return chunk_value_bytes(format) + 16 * scale_record_bytes(format);
}
AIR_HOST_DEVICE constexpr int32_t chunks_of(int32_t cols) {
  return (cols + kChunkColumns - 1) / kChunkColumns;
}

// ---------------------------------------------------------------------------------------------------------
// Order of the sum over k. It depends on cols alone, so that a result's bits do not depend on the rows beside it, on
// the kernel that was chosen for so many rows, or on the device.
//
//   The chunks are cut into slices, slice s being the chunks [s C / S, (s + 1) C / S). Within a slice, from 0 and chunk
//   by chunk in order:
//     integer formats   for each scale group in order: d = mma over its steps from 0; acc = fma(d, scale, acc);
//                       with mins, then: acc = fma(sum of the group's x, fma(8, scale, min), acc)   (INT8: min itself)
//     F16               acc = mma(step, acc) for each step in order
//   Then the slices are added from the first to the last.
//   F32: two chains by the parity of k, as kernels/reference, and their sum.
// ---------------------------------------------------------------------------------------------------------
constexpr int32_t kMaxSlices = 8;

AIR_HOST_DEVICE constexpr int32_t slices_of(int32_t cols) {
  return chunks_of(cols) >= 16 ? 8 : chunks_of(cols) >= 8 ? 4 : chunks_of(cols) >= 2 ? 2 : 1;
}

enum class MatmulStore : int32_t {
  kSet = 0,  // y = W x + bias
  kAdd = 1,  // y = (y + W x) + bias
  kSwiglu =
      2,  // paired weights: hidden = silu(gate) * up, silu(a) = a / (1 + exp(-a)), as float16 +-65504 at most
};

// Chunks that are under way to shared memory or in use there, per warp.
constexpr int32_t kMinStages = 2;
constexpr int32_t kMaxStages = 8;

struct MatmulParams {
  const uint8_t* weights;  // 16-byte aligned
  const uint16_t* x;       // float16 [row count, x_stride], 16-byte aligned; columns >= cols are not read
  void* y;            // kSet, kAdd: float32 [row count, y_stride]; kSwiglu: float16 [row count, y_stride]
  const float* bias;  // [16 tiles] in the order of the packed rows, or null
  const int32_t* row_count;  // on the device: activation rows there are; null: max_rows
  int64_t tile_stride;       // bytes
  int32_t outputs;  // columns of y: packed rows without the last tile's padding; kSwiglu: pairs of them
  int32_t cols;     // k
  int32_t tiles;
  int32_t max_rows;  // activation rows that the grid was sized for
  int32_t x_stride;  // elements, a multiple of 8
  int32_t y_stride;  // elements
  MatmulStore store;
  int32_t stages;  // depth of the pipeline, kMinStages .. kMaxStages
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_PARAMS_H_
