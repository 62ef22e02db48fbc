// Tiles of quantised tensors. Q4_0, Q4_1 and Q8_0 already hold their bytes in the tile's order and their
// scales in float16, so that words of bytes are moved as they are; the others are decoded first.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "native/core/half.h"
#include "native/core/weights/block_decode.h"
#include "native/core/weights/block_formats.h"
#include "native/core/weights/pack_tile.h"

namespace air {
namespace {

// One group of 32 in a tile: 16 rows of 16 (INT4) or 32 (INT8) bytes, in words of kWord bytes, with the words of
// kRows rows beside each other: [16 / kRows][words][kRows][kWord].
struct Quads {
  static constexpr int kWord = 4;
  static constexpr int kRows = AIR_TILE_ROWS;
};
struct Pairs {
  static constexpr int kWord = 8;
  static constexpr int kRows = 2;
};

// bytes: [kBytes], group g of row r
template <typename Layout, int kBytes>
void store_words(const void* bytes, int64_t g, int64_t r, const TileSections& tile) {
  constexpr int kWord = Layout::kWord;
  constexpr int kRows = Layout::kRows;
  uint8_t* out = tile.values + g * AIR_TILE_ROWS * kBytes + r / kRows * kRows * kBytes + r % kRows * kWord;
  for (int j = 0; j < kBytes / kWord; ++j) {
    std::memcpy(out + j * kRows * kWord, static_cast<const uint8_t*>(bytes) + j * kWord, kWord);
  }
}

template <typename Layout, typename Block>
void copy_blocks(int64_t cols, const TileSource& source, const TileSections& tile) {
  for (int64_t g = 0; g < cols / AIR_GROUP; ++g) {
    const int64_t at = source.column_group(g) * static_cast<int64_t>(sizeof(Block));
    for (int64_t r = 0; r < source.row_count; ++r) {
      Block block;
      std::memcpy(&block, source.rows[r] + at, sizeof(Block));
      tile.scales[g * AIR_TILE_ROWS + r] = block.scale;
      if constexpr (std::is_same_v<Block, BlockQ4_1>) tile.mins[g * AIR_TILE_ROWS + r] = block.min;
      if constexpr (std::is_same_v<Block, BlockQ4_0> && std::is_same_v<Layout, Pairs>) {
        for (uint8_t& pair : block.quants) pair ^= 0x88;  // q to q - 8 in four bits
      }
      store_words<Layout, sizeof(block.quants)>(block.quants, g, r, tile);
    }
  }
}

// Adds the error of weights scale * q + min that are packed as packed_scale * q + packed_min. It is linear in
// q, so the sums of q and q^2 give its square sum, and the extreme q its maximum. q: [count]
void measure(const int8_t* q, int count, double scale, double packed_scale, double min, double packed_min,
             ConversionError* error) {
  int sum = 0;
  int squares = 0;
  int lowest = q[0];
  int highest = q[0];
  for (int k = 0; k < count; ++k) {
    sum += q[k];
    squares += q[k] * q[k];
    lowest = std::min<int>(lowest, q[k]);
    highest = std::max<int>(highest, q[k]);
  }
  const double scale_error = packed_scale - scale;
  const double min_error = packed_min - min;
  const auto square_sum = [&](double a, double b) {  // of a q + b; the clamp is for cancellation
    return std::max(0.0, a * a * squares + 2 * a * b * sum + b * b * count);
  };
  error->squared_error += square_sum(scale_error, min_error);
  error->squared_weight += square_sum(scale, min);
  error->max_abs_error = std::max({error->max_abs_error, std::abs(scale_error * lowest + min_error),
                                   std::abs(scale_error * highest + min_error)});
}

// Writes group g of row r. `error` is null when float16 holds the scales exactly.
template <typename Layout>
void store_group(const DecodedGroup& group, const AirMatrix& matrix, int64_t g, int64_t r,
                 const TileSections& tile, ConversionError* error) {
  const uint16_t min = float_to_half(group.min);
  if (matrix.has_min) tile.mins[g * AIR_TILE_ROWS + r] = min;
  const int spans = AIR_GROUP / matrix.scale_group;  // 1, or 2 for Q6_K
  for (int s = 0; s < spans; ++s) {
    const uint16_t scale = float_to_half(group.scales[s]);
    tile.scales[(g * spans + s) * AIR_TILE_ROWS + r] = scale;
    if (error != nullptr) {
      measure(group.q + s * matrix.scale_group, matrix.scale_group, group.scales[s], half_to_float(scale),
              group.min, half_to_float(min), error);
    }
  }
  if (matrix.weight_class == AIR_WEIGHT_INT8) {
    store_words<Layout, 32>(group.q, g, r, tile);
    return;
  }
  uint8_t pairs[16];  // q is 0..15 here, with a min
  for (int j = 0; j < 16; ++j) pairs[j] = static_cast<uint8_t>(group.q[j] | group.q[j + 16] << 4);
  store_words<Layout, 16>(pairs, g, r, tile);
}

template <typename Layout>
void decode_blocks(TensorType type, const AirMatrix& matrix, const TileSource& source, const TileSections& tile,
                   ConversionError* error) {
  const TensorTypeInfo& info = tensor_type_info(type);
  const int64_t block_groups = info.block_values / AIR_GROUP;
  const bool lossy = type == TensorType::kQ4K || type == TensorType::kQ5K || type == TensorType::kQ6K;
  const int64_t group_count = matrix.cols / AIR_GROUP;
  const auto block_of = [&](int64_t g) { return source.column_group(g) / block_groups; };
  DecodedGroup groups[kMaxBlockGroups];
  int64_t end = 0;
  for (int64_t begin = 0; begin < group_count; begin = end) {  // groups of one block
    const int64_t block = block_of(begin);
    for (end = begin + 1; end < group_count && block_of(end) == block;) ++end;
    for (int64_t r = 0; r < source.row_count; ++r) {
      decode_block(type, source.rows[r] + block * info.block_bytes, groups);
      for (int64_t g = begin; g < end; ++g) {
        const DecodedGroup& group = groups[source.column_group(g) % block_groups];
        store_group<Layout>(group, matrix, g, r, tile, lossy ? error : nullptr);
      }
    }
  }
}

template <typename Layout>
void pack_tile(TensorType type, const AirMatrix& matrix, const TileSource& source, const TileSections& tile,
               ConversionError* error) {
  switch (type) {
    case TensorType::kQ4_0:
      return copy_blocks<Layout, BlockQ4_0>(matrix.cols, source, tile);
    case TensorType::kQ4_1:
      return copy_blocks<Layout, BlockQ4_1>(matrix.cols, source, tile);
    case TensorType::kQ8_0:
      return copy_blocks<Layout, BlockQ8_0>(matrix.cols, source, tile);
    default:
      return decode_blocks<Layout>(type, matrix, source, tile, error);
  }
}

}  // namespace

void pack_quantized_tile(TensorType type, const AirMatrix& matrix, const TileSource& source,
                         const TileSections& tile, ConversionError* error) noexcept {
  if (matrix.layout == AIR_LAYOUT_PAIRS) return pack_tile<Pairs>(type, matrix, source, tile, error);
  if (matrix.weight_class == AIR_WEIGHT_INT4 && !matrix.has_min && source.row_count < AIR_TILE_ROWS) {
    // Missing rows hold q = 8, which means zero; their scales stay zero too.
    std::memset(tile.values, 0x88, static_cast<size_t>(matrix.cols * AIR_TILE_ROWS / 2));
  }
  pack_tile<Quads>(type, matrix, source, tile, error);
}

}  // namespace air
