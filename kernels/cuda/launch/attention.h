// How a layer's attention is launched. Host code without a GPU: it decides from shapes and the device's numbers. None of
// its decisions changes a bit of the result.
#ifndef AIR_KERNELS_CUDA_LAUNCH_ATTENTION_H_
#define AIR_KERNELS_CUDA_LAUNCH_ATTENTION_H_

#include <stdint.h>

#include "kernels/cuda/attention_params.h"
#include "kernels/cuda/launch/shape.h"

namespace air::cuda {

// What is known when a graph is made; it holds for every step that runs the graph.
struct AttentionProblem {
  int32_t rows = 1;               // most rows of a step
  int32_t rows_per_sequence = 1;  // most of one sequence
  int32_t sequences = 1;          // most sequences
  int32_t kv_heads = 1;           // of the layer
  int32_t heads_per_kv = 1;       // most query heads of a KV head
  int32_t query_heads = 1;        // of the layer
  int32_t padded_dim = 32;
  int32_t key_type = 0;  // AirKvType
  int32_t value_type = 0;
  int64_t cached_tokens = 1;  // most entries that a sequence has pages for, in the group that has the most
  bool has_sinks = false;     // whether a range may have some
};

struct AttentionDevice {
  int32_t multiprocessors = 1;
  int32_t shared_per_block = 48 << 10;  // most that a block may ask for (opt-in)
  int32_t shared_per_multiprocessor = 100 << 10;
  int64_t partial_bytes = int64_t{64} << 20;  // most that partial results may take
};

struct AttentionShape {
  const char* kernel = nullptr;  // null: no kernel takes the problem (more than 256 dims)
  int32_t m = 1, c = 1;          // its 16 m queries and 128 c dims
  int32_t tile_rows = 1;         // most rows of a tile
  LaunchShape launch;
  // Of AttentionParams.
  int32_t head_parts = 1, stages = 2, split_lanes = 0, split_slots = 0;
  LaunchShape merge;                           // of merge_attention, which follows when split_lanes > 0
  int64_t partial_bytes = 0, stats_bytes = 0;  // what AttentionParams::partials and stats point to
};

AttentionShape choose_attention(const AttentionProblem& problem, const AttentionDevice& device);

// Copies the shape's numbers into the parameters.
void apply_shape(const AttentionShape& shape, const AttentionProblem& problem, AttentionParams* params);

// Cuts a step's rows into tiles of neighbours in one sequence. sequence_of[r]: that of row r, rows of one sequence side by
// side. Writes at most row_count tiles and returns how many; no more than the grid's z when the problem's numbers hold.
int32_t make_attention_tiles(const int32_t* sequence_of, int32_t row_count, int32_t tile_rows,
                             AttentionTile* tiles);

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_LAUNCH_ATTENTION_H_
