// y (=|+=) W x + bias for many rows of x: the weights are read, and dequantised, once per 64 rows.
//
//   y[row, n] = sum over k of W[n, k] x[row, k], operands and results as in matmul_decode.h, bit for bit
//
// A block has up to 8 warps side by side along the output rows: each takes 2 tiles of W for all 64 rows, so that
// every weight is dequantised by one warp and stays in its registers for 8 mma, and a B operand serves two tiles.
// The rows of x pass through shared memory for the whole block, the weights through a part of it that is each
// warp's own.
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
        store_words2(table + h * kPrefillRows + n * 8 + lane_id() * 2,
                     {float_bits(sums[0]), float_bits(sums[1])});
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

// One warp's part of the grid, and where things lie in a stage of the pipeline:
// [warps][2 tiles] chunks of weights, then the activations.
template <class F>
struct PrefillPart {
  const uint8_t* tiles[kPrefillTiles];
  int32_t first_tile;  // of the warp; may be beyond the last
  int32_t first_row, row_end;
  int32_t stage_bytes, weights_offset, x_offset;
};

template <class F>
AIR_DEVICE PrefillPart<F> prefill_part(const MatmulParams& p) {
  constexpr int32_t kWarpBytes = kPrefillTiles * F::kChunkBytes;
  const int32_t warps = static_cast<int32_t>(block_threads() / kWarp);
  const int32_t warp = static_cast<int32_t>(warp_id());
  PrefillPart<F> part;
  part.first_tile = (static_cast<int32_t>(block_y()) * warps + warp) * kPrefillTiles;
  AIR_UNROLL
  for (int m = 0; m < kPrefillTiles; ++m) {
    // Tiles beyond the last are computed from the last and not stored.
    part.tiles[m] =
        p.weights + (part.first_tile + m < p.tiles ? part.first_tile + m : p.tiles - 1) * p.tile_stride;
  }
  part.first_row = static_cast<int32_t>(block_x()) * kPrefillRows;
  part.row_end = active_rows(p);
  part.stage_bytes = prefill_stage_bytes(F::kFormat, warps);
  part.weights_offset = warp * kWarpBytes;
  part.x_offset = warps * kWarpBytes;
  return part;
}

// Starts the warp's share of the copies of one chunk, if there is such a chunk, and closes their group, so that the
// groups can be counted.
template <class F>
AIR_DEVICE void copy_stage(const MatmulParams& p, const PrefillPart<F>& part, int32_t chunk, uint8_t* stage) {
  if (chunk < chunks_of(p.cols)) {
    copy_weights<F, kPrefillTiles>(part.tiles, static_cast<int64_t>(chunk) * F::kChunkBytes,
                                   stage + part.weights_offset);
    copy_activations_by_block<kPrefillRows>(p, part.first_row, part.row_end, chunk * kChunkColumns,
                                            stage + part.x_offset);
  }
  cp_async_commit();
}

// The sums over all slices.
template <class F>
AIR_DEVICE void sum_slices(const MatmulParams& p, const PrefillPart<F>& part, PrefillSums& total) {
  // The formats with mins compute the group sums one chunk ahead, so that one barrier per chunk is enough.
  constexpr int32_t kAhead = F::kHasMin ? 1 : 0;
  float* const tables = reinterpret_cast<float*>(shared_memory());  // [2][2 halves][64 rows]
  const auto table_of = [&](int32_t chunk) { return tables + chunk % 2 * 2 * kPrefillRows; };
  uint8_t* const pipeline = shared_memory() + kPrefillSumBytes;
  uint8_t* const pipeline_end = pipeline + p.stages * part.stage_bytes;
  for (int32_t ahead = 0; ahead < p.stages - 1; ++ahead) {
    copy_stage(p, part, ahead, pipeline + ahead * part.stage_bytes);
  }
  if constexpr (F::kHasMin) {
    wait_for_copies(p.stages - 2);
    sync_threads();
    fill_sum_table<F>(pipeline + part.x_offset, table_of(0));
  }
  const int32_t chunks = chunks_of(p.cols);
  const int32_t slices = slices_of(p.cols);
  uint8_t* read = pipeline;
  uint8_t* write = pipeline_end - part.stage_bytes;
  int32_t chunk = 0;
  clear_sums(total, kNoSum);
  for (int32_t slice = 1; slice <= slices; ++slice) {
    PrefillSums acc;
    clear_sums(acc, 0.0f);
    for (const int32_t slice_end = slice * chunks / slices; chunk < slice_end; ++chunk) {
      wait_for_copies(p.stages - 2 - kAhead);
      sync_threads();  // the chunk is there for all warps; and all have read the stage written next
      copy_stage(p, part, chunk + p.stages - 1, write);
      write = read;
      uint8_t* const after = read + part.stage_bytes == pipeline_end ? pipeline : read + part.stage_bytes;
      const uint8_t* const weights = read + part.weights_offset;
      if constexpr (F::kHasMin) {
        if (chunk + 1 < chunks) fill_sum_table<F>(after + part.x_offset, table_of(chunk + 1));
        multiply_chunk<F, kPrefillTiles, kPrefillRowTiles>(weights, read + part.x_offset,
                                                           SumsByTable{table_of(chunk), kPrefillRows}, acc);
      } else {
        multiply_chunk<F, kPrefillTiles, kPrefillRowTiles>(weights, read + part.x_offset, SumsByMma{}, acc);
      }
      read = after;
    }
    add_sums(total, acc);
  }
  cp_async_wait<0>();
}

template <class F>
AIR_DEVICE void matmul_prefill(const MatmulParams& p) {
  const PrefillPart<F> part = prefill_part<F>(p);
  if (part.first_row >= part.row_end) return;
  PrefillSums total;
  sum_slices<F>(p, part, total);
  AIR_UNROLL
  for (int m = 0; m < kPrefillTiles; ++m) {
    if (part.first_tile + m >= p.tiles) break;
    AIR_UNROLL
    for (int n = 0; n < kPrefillRowTiles; ++n) {
      store_tile(p, part.first_tile + m, part.first_row + n * 8, part.row_end, total[m][n]);
    }
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_PREFILL_H_
