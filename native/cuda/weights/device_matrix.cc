#include "native/cuda/weights/device_matrix.h"

#include <limits>
#include <string>

namespace air::cuda {
namespace {

WeightFormat format_of(const AirMatrix& matrix) {
  switch (matrix.weight_class) {
    case AIR_WEIGHT_INT4:
      return matrix.has_min ? WeightFormat::kInt4Min : WeightFormat::kInt4;
    case AIR_WEIGHT_INT8:
      if (matrix.scale_group == 16) return WeightFormat::kInt8Group16;
      return matrix.has_min ? WeightFormat::kInt8Min : WeightFormat::kInt8;
    case AIR_WEIGHT_F16:
      return WeightFormat::kF16;
    default:
      return WeightFormat::kF32;
  }
}

bool is_integer(const AirMatrix& matrix) {
  return matrix.weight_class == AIR_WEIGHT_INT4 || matrix.weight_class == AIR_WEIGHT_INT8;
}

int64_t tiles_for(int64_t rows, int64_t rows_per_tile) { return (rows + rows_per_tile - 1) / rows_per_tile; }

std::string shape_text(const AirMatrix& matrix) {
  return std::to_string(matrix.rows) + " x " + std::to_string(matrix.cols);
}

Status check_source(const AirMatrix& matrix) {
  if (is_integer(matrix) && matrix.layout != AIR_LAYOUT_QUADS) {
    return {StatusCode::kUnsupported,
            "expected weights of layout tile16 for a device but received tile16pairs"};
  }
  if (matrix.rows < 1 || matrix.cols < 1 || matrix.cols > AIR_MAX_COLS ||
      matrix.rows > std::numeric_limits<int32_t>::max() / 64) {
    return {StatusCode::kUnsupported, "expected 1 .. " + std::to_string(AIR_MAX_COLS) + " columns and 1 .. " +
                                          std::to_string(std::numeric_limits<int32_t>::max() / 64) +
                                          " rows for a device but received " + shape_text(matrix)};
  }
  return {};
}

}  // namespace

bool can_arrange(const AirMatrix* const* sources, int count, Arrangement arrangement) noexcept {
  if (count < 1 || (arrangement == Arrangement::kPaired && count != 2)) return false;
  for (int i = 0; i < count; ++i) {
    if (sources[i]->cols != sources[0]->cols || format_of(*sources[i]) != format_of(*sources[0]))
      return false;
  }
  return arrangement == Arrangement::kStacked ||
         (sources[0]->rows == sources[1]->rows && format_of(*sources[0]) != WeightFormat::kF32);
}

Status plan_device_matrix(const AirMatrix* const* sources, int count, Arrangement arrangement,
                          DeviceMatrix* matrix) {
  if (!can_arrange(sources, count, arrangement)) {
    return {StatusCode::kArgument, "expected matrices of one class and shape for one launch but received " +
                                       std::to_string(count) + " that differ"};
  }
  *matrix = DeviceMatrix{};
  matrix->format = format_of(*sources[0]);
  matrix->arrangement = arrangement;
  int64_t tiles = 0;
  int64_t outputs = 0;
  for (int i = 0; i < count; ++i) {
    AIR_RETURN_IF_ERROR(check_source(*sources[i]));
    const int64_t rows = sources[i]->rows;
    const bool stacked = arrangement == Arrangement::kStacked;
    matrix->sources.push_back({static_cast<int32_t>(rows), static_cast<int32_t>(stacked ? tiles : 0)});
    outputs = stacked ? tiles * kTileRows + rows : rows;
    tiles = stacked ? tiles + tiles_for(rows, kTileRows) : tiles_for(rows, kTileRows / 2);
    if (tiles * kTileRows > std::numeric_limits<int32_t>::max()) {
      return {StatusCode::kUnsupported,
              "expected rows within 31 bits for a device but received " + std::to_string(outputs)};
    }
  }
  matrix->cols = static_cast<int32_t>(sources[0]->cols);
  matrix->tiles = static_cast<int32_t>(tiles);
  matrix->outputs = static_cast<int32_t>(outputs);
  // Float32 tiles are the CPU's.
  matrix->tile_stride = matrix->format == WeightFormat::kF32
                            ? int64_t{matrix->cols} * kTileRows * 4
                            : int64_t{chunks_of(matrix->cols)} * chunk_bytes(matrix->format);
  matrix->bytes = matrix->tile_stride * tiles;
  return {};
}

std::vector<float> arrange_bias(const DeviceMatrix& matrix, const std::vector<float>* const* biases) {
  std::vector<float> arranged;
  for (size_t i = 0; i < matrix.sources.size(); ++i) {
    if (biases[i]->empty()) continue;
    arranged.resize(static_cast<size_t>(matrix.tiles) * kTileRows, 0.0F);
    const DeviceMatrix::Source& source = matrix.sources[i];
    for (int32_t row = 0; row < source.rows; ++row) {
      const int32_t packed = matrix.arrangement == Arrangement::kStacked
                                 ? source.first_tile * kTileRows + row
                                 : row / 8 * kTileRows + row % 8 + 8 * static_cast<int32_t>(i);
      arranged[static_cast<size_t>(packed)] = (*biases[i])[static_cast<size_t>(row)];
    }
  }
  return arranged;
}

}  // namespace air::cuda
