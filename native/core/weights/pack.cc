#include "native/core/weights/pack.h"

#include <algorithm>
#include <cstring>

#include "native/core/weights/pack_tile.h"

namespace air {
namespace {

bool is_float_class(const AirMatrix& matrix) {
  return matrix.weight_class == AIR_WEIGHT_F16 || matrix.weight_class == AIR_WEIGHT_F32;
}

Status check_arguments(const Tensor& tensor, const MatrixSelection& selection, const AirMatrix& matrix,
                       int64_t tile_begin, int64_t tile_end) {
  const bool block_type = tensor_type_info(tensor.type).block_values > 1;
  if (matrix.rows != selection.row_count(tensor) || matrix.cols != selection.col_count(tensor) ||
      is_float_class(matrix) == block_type) {
    return Status(StatusCode::kArgument, "expected the matrix planned for " + tensor.role +
                                             " but received one of " + std::to_string(matrix.rows) + " x " +
                                             std::to_string(matrix.cols) + " in class " +
                                             std::to_string(matrix.weight_class));
  }
  const int64_t tiles = tiles_of(matrix.rows);
  if (tile_begin < 0 || tile_begin > tile_end || tile_end > tiles) {
    return Status(StatusCode::kArgument, "expected tiles within [0, " + std::to_string(tiles) + ") for " +
                                             tensor.role + " but received [" + std::to_string(tile_begin) +
                                             ", " + std::to_string(tile_end) + ")");
  }
  return Status();
}

// Index of the first infinity or NaN, or -1. Branch-free per chunk so that it vectorises. bits: [count]
template <typename Word>
int64_t find_non_finite(const Word* bits, int64_t count, Word exponent_mask) {
  constexpr int64_t kChunk = 256;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, count);
    Word found = 0;
    for (int64_t i = begin; i < end; ++i) found |= (bits[i] & exponent_mask) == exponent_mask;
    if (!found) continue;
    for (int64_t i = begin; i < end; ++i) {
      if ((bits[i] & exponent_mask) == exponent_mask) return i;
    }
  }
  return -1;
}

// The lane of a non-finite scale, min or float weight in a packed tile, or -1. The sections are [n][16].
int64_t find_non_finite_lane(const AirMatrix& matrix, const TileSections& tile) {
  constexpr uint16_t kHalfExponent = 0x7c00;
  constexpr uint32_t kFloatExponent = 0x7f800000;
  const int64_t values = matrix.cols * AIR_TILE_ROWS;
  int64_t index = -1;
  if (matrix.weight_class == AIR_WEIGHT_F32) {
    index = find_non_finite(reinterpret_cast<const uint32_t*>(tile.values), values, kFloatExponent);
  } else if (matrix.weight_class == AIR_WEIGHT_F16) {
    index = find_non_finite(reinterpret_cast<const uint16_t*>(tile.values), values, kHalfExponent);
  } else {
    index = find_non_finite(tile.scales, values / matrix.scale_group, kHalfExponent);
    if (index < 0 && matrix.has_min) {
      index = find_non_finite(tile.mins, values / AIR_GROUP, kHalfExponent);
    }
  }
  return index < 0 ? -1 : index % AIR_TILE_ROWS;
}

// The packed row is not finite: because the file's is not, or because a product of scales left float16.
Status non_finite_row(const Tensor& tensor, const AirMatrix& matrix, int64_t row) {
  const std::string at = " in row " + std::to_string(row);
  if (row_is_finite(tensor, row)) {
    return Status(StatusCode::kModelFormat, "expected scales within float16 for " + tensor.role +
                                                " but received a product above 65504" + at);
  }
  return Status(StatusCode::kModelFormat, "expected finite weights for " + tensor.role +
                                              " but received a non-finite " +
                                              (is_float_class(matrix) ? "weight" : "scale") + at);
}

}  // namespace

Status pack_tiles(const Tensor& tensor, const MatrixSelection& selection, const AirMatrix& matrix,
                  uint8_t* data, int64_t tile_begin, int64_t tile_end, ConversionError* error) {
  AIR_RETURN_IF_ERROR(check_tensor(tensor));
  AIR_RETURN_IF_ERROR(check_selection(tensor, selection));
  AIR_RETURN_IF_ERROR(check_arguments(tensor, selection, matrix, tile_begin, tile_end));
  const int64_t row_bytes = tensor.length_bytes / tensor.rows();
  ConversionError measured;
  for (int64_t t = tile_begin; t < tile_end; ++t) {
    const int64_t first_row = t * AIR_TILE_ROWS;
    TileSource source{};
    source.row_count = std::min<int64_t>(AIR_TILE_ROWS, matrix.rows - first_row);
    for (int64_t r = 0; r < source.row_count; ++r) {
      source.rows[r] = tensor.data + selection.row(first_row + r) * row_bytes;
    }
    if (!selection.column_groups.empty()) source.column_groups = selection.column_groups.data();
    uint8_t* bytes = data + t * matrix.tile_stride;
    const TileSections tile{reinterpret_cast<uint16_t*>(bytes),
                            reinterpret_cast<uint16_t*>(bytes + matrix.mins_offset),
                            bytes + matrix.values_offset};
    // Missing rows and the gaps between sections are zero.
    std::memset(bytes, 0, static_cast<size_t>(matrix.tile_stride));
    if (is_float_class(matrix)) {
      pack_float_tile(tensor.type, matrix, source, tile, &measured);
    } else {
      pack_quantized_tile(tensor.type, matrix, source, tile, &measured);
    }
    const int64_t lane = find_non_finite_lane(matrix, tile);
    if (lane >= 0) return non_finite_row(tensor, matrix, selection.row(first_row + lane));
  }
  error->squared_error += measured.squared_error;
  error->squared_weight += measured.squared_weight;
  error->max_abs_error = std::max(error->max_abs_error, measured.max_abs_error);
  return Status();
}

}  // namespace air
