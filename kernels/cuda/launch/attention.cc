#include "kernels/cuda/launch/attention.h"

#include <initializer_list>

#include "kernels/cuda/attention_shared.h"

namespace air::cuda {
namespace {

constexpr int32_t kMostStages = 4;
constexpr int32_t kReservedShared = 1024;  // what the driver takes of each block's shared memory

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

const char* kernel_name(int32_t m, int32_t c) {
  if (c == 1) return m == 1 ? "attention_1_1" : m == 2 ? "attention_2_1" : "attention_4_1";
  return m == 1 ? "attention_1_2" : "attention_2_2";
}

int32_t rows_of_tile(const AttentionProblem& problem, int32_t m) {
  return static_cast<int32_t>(greater(m * kMmaQueries / problem.heads_per_kv, 1));
}

int32_t parts_of_heads(const AttentionProblem& problem, int32_t m) {
  return static_cast<int32_t>(ceil_div(problem.heads_per_kv, m * kMmaQueries));
}

// Most tiles of a step: each sequence may leave one unfilled.
int64_t most_tiles(const AttentionProblem& problem, int32_t m) {
  const int64_t tile_rows = rows_of_tile(problem, m);
  const int64_t sequences = smaller(problem.sequences, problem.rows);
  return smaller(problem.rows, (problem.rows - sequences) / tile_rows + sequences);
}

// Blocks that have work when every sequence has as many rows as may be.
int64_t usual_blocks(const AttentionProblem& problem, int32_t m) {
  const int64_t tiles = greater(ceil_div(problem.rows, greater(problem.rows_per_sequence, 1)), 1) *
                        ceil_div(problem.rows_per_sequence, rows_of_tile(problem, m));
  return tiles * problem.kv_heads * parts_of_heads(problem, m);
}

// As many queries as one pass over the pages can serve.
int32_t choose_m(const AttentionProblem& problem, int32_t c) {
  const int32_t most = c == 1 ? 4 : 2;
  const int64_t queries = int64_t{problem.rows_per_sequence} * problem.heads_per_kv;
  int32_t m = 1;
  while (m < most && m * kMmaQueries < queries) m *= 2;
  return m;
}

int32_t shared_bytes(const AttentionProblem& problem, const AttentionShape& shape, int32_t stages) {
  AttentionParams params = {};
  const uint16_t some = 0;
  params.sink_queries = problem.has_sinks ? &some : nullptr;
  params.padded_dim = problem.padded_dim;
  params.key_type = problem.key_type;
  params.value_type = problem.value_type;
  params.split_lanes = shape.split_lanes;
  params.stages = stages;
  return plan_shared(params, shape.m, shape.c).bytes;
}

// The deepest pipeline that leaves room for a second block on the multiprocessor, or else for one.
bool choose_stages(const AttentionProblem& problem, const AttentionDevice& device, AttentionShape* shape) {
  for (int32_t blocks = 2; blocks >= 1; --blocks) {
    for (int32_t stages = kMostStages; stages >= (blocks == 2 ? 2 : 1); --stages) {
      const int32_t bytes = shared_bytes(problem, *shape, stages);
      if (bytes > device.shared_per_block) continue;
      if (blocks * (bytes + kReservedShared) > device.shared_per_multiprocessor) continue;
      shape->stages = stages;
      shape->launch.shared_bytes = static_cast<uint32_t>(bytes);
      return true;
    }
  }
  return false;
}

// Splits of one sequence, of which any may be in a range of cached entries that begins anywhere.
int64_t most_splits(const AttentionProblem& problem) {
  return ceil_div(problem.cached_tokens, kSplitTokens) + 2;
}

// Blocks that run on a multiprocessor at once: what its 65536 registers allow (docs/cuda.md has the kernels' numbers), and
// its shared memory.
int64_t resident_blocks(const AttentionDevice& device, const AttentionShape& shape) {
  const int64_t by_registers = shape.m == 4   ? 2
                               : shape.m == 2 ? (shape.c == 1 ? 3 : 2)
                                              : (shape.c == 1 ? 4 : 3);
  const int64_t bytes = int64_t{shape.launch.shared_bytes} + kReservedShared;
  return smaller(by_registers, greater(device.shared_per_multiprocessor / bytes, 1));
}

// Gives splits to blocks of their own when whole tiles are too few to keep the device busy, and there is memory: so
// many that all blocks run at once, since a few that come later would keep the rest waiting.
void choose_splits(const AttentionProblem& problem, const AttentionDevice& device, AttentionShape* shape) {
  const int64_t queries = int64_t{problem.rows} * problem.query_heads;
  const int64_t slots = most_splits(problem) + 1;
  const int64_t bytes = slots * queries * problem.padded_dim * int64_t{sizeof(float)};
  const int64_t blocks = usual_blocks(problem, shape->m);
  if (problem.cached_tokens <= kSplitTokens || bytes > device.partial_bytes) return;
  AttentionShape split = *shape;
  split.split_lanes = 1;
  if (!choose_stages(problem, device, &split)) return;
  const int64_t lanes =
      smaller(device.multiprocessors * resident_blocks(device, split) / blocks, most_splits(problem));
  if (lanes < 2) return;
  *shape = split;
  shape->split_lanes = static_cast<int32_t>(lanes);
  shape->split_slots = static_cast<int32_t>(slots);
  shape->partial_bytes = bytes;
  shape->stats_bytes = slots * queries * int64_t{sizeof(PartialStats)};
  shape->merge = {static_cast<uint32_t>(problem.rows), static_cast<uint32_t>(problem.query_heads), 1,
                  kAttentionThreads, sizeof(MergeMemory)};
}

}  // namespace

AttentionShape choose_attention(const AttentionProblem& problem, const AttentionDevice& device) {
  AttentionShape shape;
  shape.c = problem.padded_dim <= 128 ? 1 : 2;
  for (shape.m = choose_m(problem, shape.c); shape.m >= 1; shape.m /= 2) {
    shape.split_lanes = 0;
    choose_splits(problem, device, &shape);
    const bool is_idle = shape.split_lanes == 0 && usual_blocks(problem, shape.m) < device.multiprocessors;
    if (is_idle && shape.m > 1) continue;  // smaller tiles, which read the pages more often but all at once
    if (choose_stages(problem, device, &shape)) break;
  }
  if (shape.m == 0 || problem.padded_dim > AIR_MAX_HEAD_DIM) return {};
  shape.kernel = kernel_name(shape.m, shape.c);
  shape.tile_rows = rows_of_tile(problem, shape.m);
  shape.head_parts = parts_of_heads(problem, shape.m);
  shape.launch.grid_x = static_cast<uint32_t>(shape.split_lanes == 0 ? 1 : shape.split_lanes);
  shape.launch.grid_y = static_cast<uint32_t>(problem.kv_heads * shape.head_parts);
  shape.launch.grid_z = static_cast<uint32_t>(most_tiles(problem, shape.m));
  shape.launch.threads = kAttentionThreads;
  return shape;
}

void apply_shape(const AttentionShape& shape, const AttentionProblem& problem, AttentionParams* params) {
  params->head_parts = shape.head_parts;
  params->stages = shape.stages;
  params->split_lanes = shape.split_lanes;
  params->split_slots = shape.split_slots;
  params->partial_rows = problem.rows;
}

int32_t make_attention_tiles(const int32_t* sequence_of, int32_t row_count, int32_t tile_rows,
                             AttentionTile* tiles) {
  int32_t count = 0;
  for (int32_t row = 0; row < row_count; ++row) {
    if (count > 0) {
      AttentionTile& tile = tiles[count - 1];
      if (tile.rows < tile_rows && sequence_of[tile.first_row] == sequence_of[row]) {
        ++tile.rows;
        continue;
      }
    }
    tiles[count++] = {row, 1};
  }
  return count;
}

}  // namespace air::cuda
