// Shapes of the matmul kernels that the device code and the choice of a launch share.
#ifndef AIR_KERNELS_CUDA_MATMUL_SHAPES_H_
#define AIR_KERNELS_CUDA_MATMUL_SHAPES_H_

#include "kernels/cuda/matmul_params.h"

namespace air::cuda {

constexpr int32_t kActivationBytesPerRow = 2 * kChunkColumns;  // of a chunk

// --- decode: 8 warps, each with a pipeline of m_tiles tiles and 8 n_tiles rows ------------------------------
constexpr int32_t kDecodeWarps = kMaxSlices;
constexpr int32_t kDecodeThreads = 32 * kDecodeWarps;

AIR_HOST_DEVICE constexpr int32_t decode_stage_bytes(WeightFormat format, int32_t m_tiles, int32_t n_tiles) {
  return m_tiles * chunk_bytes(format) + 8 * n_tiles * kActivationBytesPerRow;
}
// The fold needs less: 512 bytes per warp and accumulator.
AIR_HOST_DEVICE constexpr int32_t decode_shared_bytes(WeightFormat format, int32_t m_tiles, int32_t n_tiles,
                                                      int32_t stages) {
  return kDecodeWarps * stages * decode_stage_bytes(format, m_tiles, n_tiles);
}

// --- prefill: warps side by side along the output rows, all of them over the same rows of x --------------------
constexpr int32_t kPrefillTiles = 2;  // of a warp
constexpr int32_t kPrefillRows = 64;  // of x
constexpr int32_t kPrefillMaxWarps = 8;
// One more than decode's least, as the formats with mins compute a chunk ahead.
constexpr int32_t kPrefillMinStages = 3;
constexpr int32_t kPrefillMaxStages = 5;

// Group sums of two chunks, which the formats with mins need.
constexpr int32_t kPrefillSumBytes = 2 * 2 * kPrefillRows * 4;

AIR_HOST_DEVICE constexpr int32_t prefill_stage_bytes(WeightFormat format, int32_t warps) {
  return warps * kPrefillTiles * chunk_bytes(format) + kPrefillRows * kActivationBytesPerRow;
}
AIR_HOST_DEVICE constexpr int32_t prefill_shared_bytes(WeightFormat format, int32_t warps, int32_t stages) {
  return kPrefillSumBytes + stages * prefill_stage_bytes(format, warps);
}

// --- float32: warps of a block, each with a tile; rows of x of a block --------------------------------------------
constexpr int32_t kFloatWarps = 4;
constexpr int32_t kFloatRows = 8;

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_SHAPES_H_
