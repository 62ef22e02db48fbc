// y (=|+=) W x + bias for few rows of x: one pass over the weights.
//
//   y[row, n] = sum over k of W[n, k] x[row, k]
//   W: packed as kernels/cuda/matmul_params.h draws; x: float16 [rows, x_stride]; y: float32 or, SwiGLU, float16
//
// Rows of x are the N of mma.m16n8k16, so that 1 row and 8 cost the same pass. A block has 8 warps: each takes one
// slice of k for m_tiles tiles of W and 8 n_tiles rows of x, with a pipeline of its own in shared memory, so that the
// loop has no barrier of the block, only the warp's.
//
//   grid x: blocks of m_tiles * 8 / slices tiles       grid y: blocks of 8 n_tiles rows
//   warp w: slice w % slices, tiles of its block from m_tiles * (w / slices) on
//
// At the end the warps leave their sums in shared memory and add up the slices from the first to the last.
// Source: the layout of weights follows the idea of Marlin (arXiv 2408.11743): offline in fragment order.
#ifndef AIR_KERNELS_CUDA_MATMUL_DECODE_H_
#define AIR_KERNELS_CUDA_MATMUL_DECODE_H_

#include "kernels/cuda/matmul_chunk.h"
#include "kernels/cuda/matmul_shapes.h"

namespace air::cuda {

// One warp's part of the grid.
template <int m_tiles>
struct DecodePart {
  int32_t slices, slice;
  int32_t first_tile;  // of the warp; may be beyond the last
  int32_t chunk_begin, chunk_end;
};

template <int m_tiles>
AIR_DEVICE DecodePart<m_tiles> decode_part(const MatmulParams& p) {
  DecodePart<m_tiles> part;
  const int32_t warp = static_cast<int32_t>(warp_id());
  part.slices = slices_of(p.cols);
  part.slice = warp % part.slices;
  const int32_t warp_groups = kDecodeWarps / part.slices;
  part.first_tile = (static_cast<int32_t>(block_x()) * warp_groups + warp / part.slices) * m_tiles;
  const int32_t chunks = chunks_of(p.cols);
  part.chunk_begin = part.slice * chunks / part.slices;
  part.chunk_end = part.first_tile < p.tiles ? (part.slice + 1) * chunks / part.slices : part.chunk_begin;
  return part;
}

// The warp's sums over its slice.
template <class F, int m_tiles, int n_tiles>
AIR_DEVICE void sum_slice(const MatmulParams& p, const DecodePart<m_tiles>& part, int32_t first_row,
                          int32_t row_end, uint8_t* pipeline, float (&acc)[m_tiles][n_tiles][4]) {
  constexpr int kStageBytes = decode_stage_bytes(F::kFormat, m_tiles, n_tiles);
  const uint8_t* tiles[m_tiles];
  AIR_UNROLL
  for (int m = 0; m < m_tiles; ++m) {
    // Tiles beyond the last are computed from the last and not stored.
    const int32_t tile = part.first_tile + m < p.tiles ? part.first_tile + m : p.tiles - 1;
    tiles[m] = p.weights + tile * p.tile_stride;
  }
  const auto copy_chunk = [&](int32_t chunk, uint8_t* stage) {
    copy_weights<F, m_tiles>(tiles, static_cast<int64_t>(chunk) * F::kChunkBytes, stage);
    copy_activations_by_warp<8 * n_tiles>(p, first_row, row_end, chunk * kChunkColumns,
                                          stage + m_tiles * F::kChunkBytes);
  };
  // A group of copies is closed for every stage, with or without a chunk, so that counting them is simple.
  for (int32_t ahead = 0; ahead < p.stages - 1; ++ahead) {
    if (part.chunk_begin + ahead < part.chunk_end) {
      copy_chunk(part.chunk_begin + ahead, pipeline + ahead * kStageBytes);
    }
    cp_async_commit();
  }
  uint8_t* const pipeline_end = pipeline + p.stages * kStageBytes;
  uint8_t* read = pipeline;
  uint8_t* write = pipeline_end - kStageBytes;
  for (int32_t chunk = part.chunk_begin; chunk < part.chunk_end; ++chunk) {
#ifdef AIR_PLANT_WAIT  // test/kernels: one group of copies too few is waited for
    wait_for_copies(p.stages - 1);
#else
    wait_for_copies(p.stages - 2);
#endif
#ifndef AIR_PLANT_WARP_BARRIER  // test/kernels: lanes read what others have not copied yet
    sync_warp();                // the lanes copied for each other; and all have read the stage written next
#endif
    const int32_t next = chunk + p.stages - 1;
    if (next < part.chunk_end) copy_chunk(next, write);
    cp_async_commit();
    multiply_chunk<F, m_tiles, n_tiles>(read, read + m_tiles * F::kChunkBytes, SumsByMma{}, acc);
    write = read;
    read += kStageBytes;
    if (read == pipeline_end) read = pipeline;
  }
  cp_async_wait<0>();  // nothing may land in shared memory that is used anew
}

// Adds the slices up, each tile times 8 rows by one warp, and stores them.
template <int m_tiles, int n_tiles>
AIR_DEVICE void fold_slices(const MatmulParams& p, const DecodePart<m_tiles>& part, int32_t first_row,
                            int32_t row_end, uint8_t* shared, const float (&acc)[m_tiles][n_tiles][4]) {
  constexpr int32_t kUnits = m_tiles * n_tiles;  // of one warp, 512 bytes each
  const int32_t warp = static_cast<int32_t>(warp_id());
  sync_threads();  // the pipelines of all warps are empty
  AIR_UNROLL
  for (int unit = 0; unit < kUnits; ++unit) {
    const float(&sum)[4] = acc[unit / n_tiles][unit % n_tiles];
    store_words4(shared + (warp * kUnits + unit) * 512 + lane_id() * 16,
                 {float_bits(sum[0]), float_bits(sum[1]), float_bits(sum[2]), float_bits(sum[3])});
  }
  sync_threads();
  const int32_t warp_groups = kDecodeWarps / part.slices;
  for (int32_t at = warp; at < warp_groups * kUnits; at += kDecodeWarps) {
    const int32_t group = at / kUnits;
    const int32_t unit = at % kUnits;
    const int32_t tile = (static_cast<int32_t>(block_x()) * warp_groups + group) * m_tiles + unit / n_tiles;
    if (tile >= p.tiles) continue;
    float sum[4] = {kNoSum, kNoSum, kNoSum, kNoSum};
    for (int32_t slice = 0; slice < part.slices; ++slice) {
      const Words4 v =
          load_words4(shared + ((group * part.slices + slice) * kUnits + unit) * 512 + lane_id() * 16);
      sum[0] += bits_float(v.x);
      sum[1] += bits_float(v.y);
      sum[2] += bits_float(v.z);
      sum[3] += bits_float(v.w);
    }
    store_tile(p, tile, first_row + unit % n_tiles * 8, row_end, sum);
  }
}

template <class F, int m_tiles, int n_tiles>
AIR_DEVICE void matmul_decode(const MatmulParams& p) {
  const int32_t first_row = static_cast<int32_t>(block_y()) * 8 * n_tiles;
  const int32_t row_end = active_rows(p);
  if (first_row >= row_end) return;
  const DecodePart<m_tiles> part = decode_part<m_tiles>(p);
  const uint32_t pipeline_bytes =
      static_cast<uint32_t>(p.stages) * decode_stage_bytes(F::kFormat, m_tiles, n_tiles);
  float acc[m_tiles][n_tiles][4] = {};
  sum_slice<F, m_tiles, n_tiles>(p, part, first_row, row_end, shared_memory() + warp_id() * pipeline_bytes,
                                 acc);
  fold_slices<m_tiles, n_tiles>(p, part, first_row, row_end, shared_memory(), acc);
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_DECODE_H_
