// y (=|+=) W x + bias for many rows of x: the weights are read, and dequantised, once per 64 rows.
//
//   y[row, n] = sum over k of W[n, k] x[row, k], operands and results as in matmul_decode.h, bit for bit
//
// A block has up to 8 warps side by side along the output rows: each takes 2 tiles of W for all 64 rows, so that every
// weight is dequantised by one warp and stays in its registers for 8 mma, and a B operand serves two tiles. The rows of
// x pass through shared memory for the whole block, the weights through a part of it that is each warp's own.
//
//   grid x: blocks of 64 rows (neighbours in time share the weights)       grid y: blocks of 2 tiles per warp
//
// The sums over a slice of k and of the slices before it are kept apart in registers: the order of matmul_params.h.
#ifndef AIR_KERNELS_CUDA_MATMUL_PREFILL_H_
#define AIR_KERNELS_CUDA_MATMUL_PREFILL_H_

#include "kernels/cuda/matmul_chunk.h"
#include "kernels/cuda/matmul_shapes.h"

namespace air::cuda {

constexpr int kPrefillRowTiles = kPrefillRows / 8;
using PrefillSums = float[kPrefillTiles][kPrefillRowTiles][4];

// Fills the table [2 halves][64 rows] of the chunk whose activations lie at x; each warp takes some of the rows.
template <class F>
AIR_DEVICE void fill_sum_table(const uint8_t* x, float* table) {
  const int warps = static_cast<int>(block_threads() / kWarp);
  for (int n = static_cast<int>(warp_id()); n < kPrefillRowTiles; n += warps) {
    AIR_UNROLL
    for (int h = 0; h < 2; ++h) {
      uint32_t b[2][2];
      float sums[2];
      load_activations<F>(x + n * 8 * kActivationRowBytes, h, b);
      sum_group(b, sums);
      if (lane_id() < 4) {
        store_words2(table + h * kPrefillRows + n * 8 + lane_id() * 2, {float_bits(sums[0]), float_bits(sums[1])});
      }
    }
  }
}

AIR_DEVICE void clear_sums(PrefillSums& sums, float value) {
  AIR_UNROLL
  for (int at = 0; at < kPrefillTiles * kPrefillRowTiles * 4; ++at) {
    sums[at / (kPrefillRowTiles * 4)][at / 4 % kPrefillRowTiles][at % 4] = value;
  }
}

AIR_DEVICE void add_sums(PrefillSums& total, const PrefillSums& sums) {
  AIR_UNROLL
  for (int at = 0; at < kPrefillTiles * kPrefillRowTiles * 4; ++at) {
    total[at / (kPrefillRowTiles * 4)][at / 4 % kPrefillRowTiles][at % 4] +=
        sums[at / (kPrefillRowTiles * 4)][at / 4 % kPrefillRowTiles][at % 4];
  }
}

template <class F>
AIR_DEVICE void matmul_prefill(const MatmulParams& p) {
  const int32_t first_row = static_cast<int32_t>(block_x()) * kPrefillRows;
  const int32_t row_end = active_rows(p);
  if (first_row >= row_end) return;
  const int32_t warps = static_cast<int32_t>(block_threads() / kWarp);
  const int32_t warp = static_cast<int32_t>(warp_id());
  const int32_t first_tile = (static_cast<int32_t>(block_y()) * warps + warp) * kPrefillTiles;
  const uint8_t* tiles[kPrefillTiles];
  AIR_UNROLL
  for (int m = 0; m < kPrefillTiles; ++m) {
    // Tiles beyond the last are computed from the last and not stored.
    tiles[m] = p.weights + (first_tile + m < p.tiles ? first_tile + m : p.tiles - 1) * p.tile_stride;
  }
  // The formats with mins compute the group sums one chunk ahead, so that one barrier per chunk is enough.
  constexpr int32_t kAhead = F::kHasMin ? 1 : 0;
  float* const sum_tables = reinterpret_cast<float*>(shared_memory());  // [2][2 halves][64 rows]
  uint8_t* const pipeline = shared_memory() + kPrefillSumBytes;
  const int32_t stage_bytes = prefill_stage_bytes(F::kFormat, warps);
  const int32_t x_offset = warps * kPrefillTiles * F::kChunkBytes;
  const int32_t chunks = chunks_of(p.cols);
  const int32_t slices = slices_of(p.cols);
  const auto copy_chunk = [&](int32_t chunk, uint8_t* stage) {
    copy_weights<F, kPrefillTiles>(tiles, static_cast<int64_t>(chunk) * F::kChunkBytes,
                                   stage + warp * kPrefillTiles * F::kChunkBytes);
    copy_activations<kPrefillRows>(p, first_row, row_end, chunk * kChunkColumns, thread_id(), block_threads(),
                                   stage + x_offset);
  };
  for (int32_t ahead = 0; ahead < p.stages - 1; ++ahead) {
    if (ahead < chunks) copy_chunk(ahead, pipeline + ahead * stage_bytes);
    cp_async_commit();
  }
  if constexpr (F::kHasMin) {
    wait_for_copies(p.stages - 2);
    sync_threads();
    fill_sum_table<F>(pipeline + x_offset, sum_tables);
  }
  PrefillSums acc;
  PrefillSums total;
  clear_sums(total, kNoSum);
  uint8_t* const pipeline_end = pipeline + p.stages * stage_bytes;
  uint8_t* read = pipeline;
  uint8_t* write = pipeline_end - stage_bytes;
  int32_t chunk = 0;
  for (int32_t slice = 1; slice <= slices; ++slice) {
    clear_sums(acc, 0.0f);
    for (const int32_t slice_end = slice * chunks / slices; chunk < slice_end; ++chunk) {
      wait_for_copies(p.stages - 2 - kAhead);
      sync_threads();  // the chunk is there for all warps; and all have read the stage written next
      const int32_t next = chunk + p.stages - 1;
      if (next < chunks) copy_chunk(next, write);
      cp_async_commit();
      write = read;
      uint8_t* const after = read + stage_bytes == pipeline_end ? pipeline : read + stage_bytes;
      const uint8_t* const weights = read + warp * kPrefillTiles * F::kChunkBytes;
      if constexpr (F::kHasMin) {
        if (chunk + 1 < chunks) fill_sum_table<F>(after + x_offset, sum_tables + (chunk + 1) % 2 * 2 * kPrefillRows);
        const SumsByTable sums{sum_tables + chunk % 2 * 2 * kPrefillRows, kPrefillRows};
        multiply_chunk<F, kPrefillTiles, kPrefillRowTiles>(weights, read + x_offset, sums, acc);
      } else {
        multiply_chunk<F, kPrefillTiles, kPrefillRowTiles>(weights, read + x_offset, SumsByMma{}, acc);
      }
      read = after;
    }
    add_sums(total, acc);
  }
  cp_async_wait<0>();
  AIR_UNROLL
  for (int m = 0; m < kPrefillTiles; ++m) {
    if (first_tile + m >= p.tiles) break;
    AIR_UNROLL
    for (int n = 0; n < kPrefillRowTiles; ++n) store_tile(p, first_tile + m, first_row + n * 8, row_end, total[m][n]);
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_PREFILL_H_
