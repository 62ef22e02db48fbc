// How every vector ISA walks a matmul. Everything here has internal linkage ("static"): two ISA files that
// include it get a copy each, compiled with their own flags, and the linker cannot merge them.
#ifndef AIR_KERNELS_SHARED_MATMUL_TILES_H_
#define AIR_KERNELS_SHARED_MATMUL_TILES_H_

#include "kernels/include/air_kernels.h"
#include "kernels/shared/fetch.h"

// Computes the 16 outputs of one weight tile for a fixed number of activation rows that start at `row`.
typedef void (*AirTileKernel)(const AirMatmulArgs* args, int64_t tile, int64_t row);

// kernels[r] computes r + 1 rows. A weight tile is read from memory once: all rows pass over it while it is
// in the cache. Rows are cut into equal blocks (9 rows with kernels of 8 are 5 + 4, not 8 + 1).
template <int kMaxRows>
static void run_tiles(const AirMatmulArgs* args, const AirTileKernel (&kernels)[kMaxRows]) {
  for (int64_t tile = args->tile_begin; tile < args->tile_end; ++tile) {
    int64_t row = args->row_begin;
    while (row < args->row_end) {
      const int64_t left = args->row_end - row;
      const int64_t blocks = (left + kMaxRows - 1) / kMaxRows;
      const int64_t count = (left + blocks - 1) / blocks;
      kernels[count - 1](args, tile, row);
      row += count;
    }
  }
}

// Columns of the tile that exist: 16, or fewer in the last tile.
static inline int tile_columns(const AirMatrix* weights, int64_t tile) {
  const int64_t left = weights->rows - tile * AIR_TILE_ROWS;
  return left < AIR_TILE_ROWS ? static_cast<int>(left) : AIR_TILE_ROWS;
}

// How far ahead of their use weights are fetched. Measured with weights in DRAM: on a Zen 5 server one row of int4 reads 28 GB/s at 4 KB, 38 at 8 KB, 45 at 16 KB and
// no more at 32 KB; the hardware's own prefetch, which stops at every memory page, gives 21.
#define AIR_PREFETCH_BYTES (16 * 1024)

// Fetches one step's share of a tile. The steps (one per group of k) walk the tile in the order of its bytes,
// not of their use, and past its end: so they cover scales and values alike, and the start of the next tile.
// step_bytes need not be a multiple of a cache line; lines (a constant) covers it rounded up.
static inline void prefetch_step(const uint8_t* tile_start, int64_t step, int64_t step_bytes, int lines) {
  // As an integer: a pointer past the end of the weights must not even be formed.
  const uintptr_t at = reinterpret_cast<uintptr_t>(tile_start) + static_cast<uintptr_t>(step * step_bytes);
  for (int line = 0; line < lines; ++line) {
    fetch_line(reinterpret_cast<const void*>(at + AIR_PREFETCH_BYTES + 64 * static_cast<uintptr_t>(line)));
  }
}

// Fetches the first weights of a call, which no call before it has asked for, while activations are regrouped:
// 2% of eight rows. Inlined for the reason given in fetch.h.
__attribute__((always_inline)) static inline void prefetch_start(const AirMatmulArgs* args) {
  constexpr int64_t kBytes = 8 * 1024;
  const AirMatrix& w = *args->weights;
  const int64_t bytes = (args->tile_end - args->tile_begin) * w.tile_stride;
  const uint8_t* start = w.data + args->tile_begin * w.tile_stride;
  for (int64_t at = 0; at < kBytes && at < bytes; at += 64) fetch_line(start + at);
}

#endif  // AIR_KERNELS_SHARED_MATMUL_TILES_H_
