#include "test/native/support/unpack.h"

#include "native/core/half.h"

namespace air_test {

using air::half_to_float;

namespace {

// Where one packed row's data lie within its tile; layouts in kernels/include/air_formats.h.
struct PackedRow {
  const uint16_t* scales;  // [cols / scale_group][16], at the row's lane
  const uint16_t* mins;    // [cols / 32][16], at the row's lane
  const uint8_t* values;   // the tile's values
  int64_t lane;            // row within the tile
};

PackedRow packed_row(const AirMatrix& matrix, int64_t row) {
  const int64_t lane = row % AIR_TILE_ROWS;
  const uint8_t* tile = matrix.data + row / AIR_TILE_ROWS * matrix.tile_stride;
  return {reinterpret_cast<const uint16_t*>(tile) + lane,
          reinterpret_cast<const uint16_t*>(tile + matrix.mins_offset) + lane, tile + matrix.values_offset,
          lane};
}

// The byte that holds element k of the row; row_bytes: of a group.
uint8_t packed_byte(const AirMatrix& matrix, const PackedRow& row, int64_t k, int64_t row_bytes) {
  const uint8_t* group = row.values + k / AIR_GROUP * AIR_TILE_ROWS * row_bytes;
  const int64_t b = k % row_bytes;
  if (matrix.layout == AIR_LAYOUT_PAIRS) {
    return group[row.lane / 2 * 2 * row_bytes + b / 8 * 16 + row.lane % 2 * 8 + b % 8];
  }
  return group[b / 4 * 64 + row.lane * 4 + b % 4];
}

// The integer at element k of the row, as air_formats.h defines it; 8 is taken off INT4 without mins.
int packed_integer(const AirMatrix& matrix, const PackedRow& row, int64_t k) {
  if (matrix.weight_class == AIR_WEIGHT_INT8) return static_cast<int8_t>(packed_byte(matrix, row, k, 32));
  const uint8_t pair = packed_byte(matrix, row, k, 16);
  const int nibble = k % AIR_GROUP < 16 ? pair & 0xf : pair >> 4;
  if (matrix.has_min) return nibble;
  return matrix.layout == AIR_LAYOUT_PAIRS ? (nibble ^ 8) - 8 : nibble - 8;
}

}  // namespace

void unpack_row(const AirMatrix& matrix, int64_t row, float* out) {
  const PackedRow source = packed_row(matrix, row);
  switch (matrix.weight_class) {
    case AIR_WEIGHT_F32: {
      const float* values = reinterpret_cast<const float*>(source.values) + source.lane;
      for (int64_t k = 0; k < matrix.cols; ++k) out[k] = values[k * AIR_TILE_ROWS];
      return;
    }
    case AIR_WEIGHT_F16: {
      const uint16_t* values = reinterpret_cast<const uint16_t*>(source.values) + source.lane;
      for (int64_t k = 0; k < matrix.cols; ++k) out[k] = half_to_float(values[k * AIR_TILE_ROWS]);
      return;
    }
    default:
      for (int64_t k = 0; k < matrix.cols; ++k) {
        const float scale = half_to_float(source.scales[k / matrix.scale_group * AIR_TILE_ROWS]);
        const float min = matrix.has_min ? half_to_float(source.mins[k / AIR_GROUP * AIR_TILE_ROWS]) : 0.0f;
        out[k] = scale * static_cast<float>(packed_integer(matrix, source, k)) + min;
      }
  }
}

}  // namespace air_test
