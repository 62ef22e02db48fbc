// Where the inputs of a step lie: one block of memory, on the device at a fixed address and page-locked on the host, so
// that one copy brings a step. Offsets depend on the shape alone, so a graph of launches finds them where they were.
#ifndef AIR_CUDA_STEP_LAYOUT_H_
#define AIR_CUDA_STEP_LAYOUT_H_

#include <cstdint>

namespace air::cuda {

// Rows of different layers are cut into tiles of different sizes; so many cuts at most.
constexpr int64_t kMaxTileSets = 4;

// What the layout depends on.
struct StepShape {
  int64_t tokens = 0;  // most of a step: T
  int64_t groups = 0;  // G
  int64_t pairs = 0;   // rotated pairs of dims
  int64_t gates = 0;   // query heads of all layers
};

// Bytes from the block's start, 16-byte aligned.
struct StepLayout {
  enum Count { kTokens = 0, kRows = 1, kTiles = 2, kCounts = 2 + kMaxTileSets };

  int64_t counts = 0;        // int32 [kCounts]
  int64_t tokens = 0;        // int32 [T]
  int64_t feed_sources = 0;  // int32 [T] of the step before, when drafting
  int64_t identity = 0;      // int32 [T] 0, 1, ..
  int64_t logit_rows = 0;    // int32 [T]
  int64_t slots = 0;         // int32 [G, T]
  int64_t ranges = 0;        // CacheRange [G, T]
  int64_t tiles = 0;         // AttentionTile [kMaxTileSets, T]
  int64_t gates = 0;         // uint8 [gates], kept heads of the layers side by side
  int64_t cosines = 0;       // float [1 + G, T, pairs]
  int64_t sines = 0;         // the same
  int64_t bytes = 0;

  explicit StepLayout(const StepShape& shape);
};

}  // namespace air::cuda

#endif  // AIR_CUDA_STEP_LAYOUT_H_
