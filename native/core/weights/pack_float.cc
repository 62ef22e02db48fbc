// Tiles of float tensors: 16 rows transposed so that the rows are the lanes.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/core/half.h"
#include "native/core/weights/pack_tile.h"

namespace air {
namespace {

// out[k][r] = convert(row r's element k). Goes by 32 columns at a time: reading 16 rows whose distance is a
// power of two column by column would evict every cache line before its second element is read.
// out: [cols][16]
template <typename In, typename Out, typename Convert>
void transpose(const TileSource& source, int64_t cols, Out* out, Convert convert) {
  for (int64_t begin = 0; begin < cols; begin += AIR_GROUP) {
    const int64_t count = std::min<int64_t>(AIR_GROUP, cols - begin);
    const int64_t from = source.column_group(begin / AIR_GROUP) * AIR_GROUP;
    for (int64_t r = 0; r < source.row_count; ++r) {
      const uint8_t* values = source.rows[r] + from * static_cast<int64_t>(sizeof(In));
      for (int64_t k = 0; k < count; ++k) {
        In value;
        std::memcpy(&value, values + k * static_cast<int64_t>(sizeof(In)), sizeof(In));
        out[(begin + k) * AIR_TILE_ROWS + r] = convert(value);
      }
    }
  }
}

void pack_bf16_as_half(const TileSource& source, int64_t cols, uint16_t* out, ConversionError* error) {
  double squared_weight = 0;
  transpose<uint16_t>(source, cols, out, [&](uint16_t bits) {
    const double exact = bf16_to_float(bits);
    squared_weight += exact * exact;
    // Normal in float16 (2^-14 .. 2^16): rebias the exponent, and the 7 bits of mantissa fit into 10.
    const int exponent = ((bits >> 7) & 0xff) - (127 - 15);
    if (exponent > 0 && exponent < 31) {
      return static_cast<uint16_t>((bits & 0x8000) | exponent << 10 | (bits & 0x7f) << 3);
    }
    const uint16_t half = float_to_half(static_cast<float>(exact));
    const double lost = std::abs(half_to_float(half) - exact);
    error->squared_error += lost * lost;
    error->max_abs_error = std::max(error->max_abs_error, lost);
    return half;
  });
  error->squared_weight += squared_weight;
}

}  // namespace

void pack_float_tile(TensorType type, const AirMatrix& matrix, const TileSource& source,
                     const TileSections& tile, ConversionError* error) noexcept {
  uint16_t* halves = reinterpret_cast<uint16_t*>(tile.values);
  float* floats = reinterpret_cast<float*>(tile.values);
  if (type == TensorType::kF32) {
    transpose<float>(source, matrix.cols, floats, [](float value) { return value; });
  } else if (type == TensorType::kF16) {
    transpose<uint16_t>(source, matrix.cols, halves, [](uint16_t half) { return half; });
  } else if (matrix.weight_class == AIR_WEIGHT_F32) {
    transpose<uint16_t>(source, matrix.cols, floats, bf16_to_float);
  } else {
    pack_bf16_as_half(source, matrix.cols, halves, error);
  }
}

}  // namespace air
