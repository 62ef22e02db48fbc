// Tiles of the CPU's format to tiles of the device's.
#include <algorithm>
#include <cstring>

#include "native/cuda/weights/device_matrix.h"

namespace air::cuda {
namespace {

constexpr int kRows = kTileRows;
constexpr int kHalfColumns = 32;  // of a chunk

// One output row in the CPU's tile.
struct SourceRow {
  const uint8_t* tile = nullptr;  // null: a row of padding
  int64_t lane = 0;
};

uint16_t read_half(const uint8_t* section, int64_t index) {
  uint16_t half;
  std::memcpy(&half, section + 2 * index, sizeof half);
  return half;
}

void write_half(uint8_t* section, int64_t index, uint16_t half) {
  std::memcpy(section + 2 * index, &half, sizeof half);
}

// Where the weight of k (0..31, within half h of a chunk) of tile row r goes: the lane, the step j, the register and
// which of its two halves. See matmul_params.h.
struct Place {
  int lane, step, reg, upper;
};
Place place_of(WeightFormat format, int row, int k) {
  const bool group16 = format == WeightFormat::kInt8Group16;
  const int t = group16 ? k % 16 / 4 : k / 8;
  const int step = group16 ? k / 16 : k % 8 / 4;
  return {row % 8 * 4 + t, step, row / 8 + k % 4 / 2 * 2, k % 2};
}

// The integers of one row and half, k = 0..31: of INT4 0..15, of INT8 q + 128.
void read_integers(const AirMatrix& matrix, const SourceRow& row, int64_t group, uint8_t* q) {
  const uint8_t* values = row.tile + matrix.values_offset;
  if (matrix.weight_class == AIR_WEIGHT_INT4) {
    const uint8_t* bytes = values + group * kRows * 16 + row.lane * 4;
    for (int b = 0; b < 16; ++b) {
      const uint8_t pair = bytes[b / 4 * 64 + b % 4];
      q[b] = pair & 15;
      q[b + 16] = pair >> 4;
    }
    return;
  }
  const uint8_t* bytes = values + group * kRows * 32 + row.lane * 4;
  for (int b = 0; b < 32; ++b) q[b] = bytes[b / 4 * 64 + b % 4] ^ 0x80;
}

void put_integers(WeightFormat format, int row, int half, const uint8_t* q, uint8_t* chunk) {
  const bool is_int4 = format == WeightFormat::kInt4 || format == WeightFormat::kInt4Min;
  for (int k = 0; k < kHalfColumns; ++k) {
    const Place to = place_of(format, row, k);
    if (is_int4) {
      const int nibble = to.reg + 4 * to.upper;
      uint8_t& byte = chunk[half * 256 + to.lane * 8 + to.step * 4 + nibble / 2];
      byte = static_cast<uint8_t>(byte | q[k] << nibble % 2 * 4);
    } else {
      chunk[half * 512 + to.lane * 16 + to.step * 8 + to.reg * 2 + to.upper] = q[k];
    }
  }
}

// Scales and mins of one row for the groups of half h.
void put_scales(const AirMatrix& matrix, WeightFormat format, const SourceRow& from, int row, int64_t group,
                int half, uint8_t* records) {
  uint8_t* record = records + (half * 8 + row % 8) * scale_record_bytes(format);
  const int spans = kHalfColumns / matrix.scale_group;  // 1, or 2
  for (int s = 0; s < spans; ++s) {
    write_half(record, row / 8 * spans + s, read_half(from.tile, (group * spans + s) * kRows + from.lane));
  }
  if (!matrix.has_min) return;
  write_half(record, 2 + row / 8, read_half(from.tile + matrix.mins_offset, group * kRows + from.lane));
}

void pack_integer_row(const AirMatrix& matrix, WeightFormat format, const SourceRow& from, int row,
                      uint8_t* tile) {
  uint8_t q[kHalfColumns];
  for (int64_t group = 0; group < matrix.cols / AIR_GROUP; ++group) {
    const int half = static_cast<int>(group % 2);
    uint8_t* chunk = tile + group / 2 * chunk_bytes(format);
    read_integers(matrix, from, group, q);
    put_integers(format, row, half, q, chunk);
    put_scales(matrix, format, from, row, group, half, chunk + chunk_value_bytes(format));
  }
}

void pack_half_row(const AirMatrix& matrix, const SourceRow& from, int row, uint8_t* tile) {
  const uint8_t* values = from.tile + matrix.values_offset;
  for (int64_t k = 0; k < matrix.cols; ++k) {
    const Place to = place_of(WeightFormat::kF16, row, static_cast<int>(k % kHalfColumns));
    uint8_t* chunk = tile + k / kChunkColumns * chunk_bytes(WeightFormat::kF16);
    const int64_t block = k / kHalfColumns % 2 * 2 + to.step;  // [h][j]
    write_half(chunk, (block * 32 + to.lane) * 8 + to.reg * 2 + to.upper,
               read_half(values, k * kRows + from.lane));
  }
}

void pack_float_row(const AirMatrix& matrix, const SourceRow& from, int row, uint8_t* tile) {
  const uint8_t* values = from.tile + matrix.values_offset;
  for (int64_t k = 0; k < matrix.cols; ++k) {
    std::memcpy(tile + (k * kRows + row) * 4, values + (k * kRows + from.lane) * 4, 4);
  }
}

// The source of row r of a device tile. `index`: of the matrix among the sources.
SourceRow source_row(const DeviceMatrix& matrix, const AirMatrix* const* sources, int64_t tile, int r,
                     int* index) {
  int64_t row = tile * kRows + r;
  if (matrix.arrangement == Arrangement::kPaired) {
    *index = r / 8;
    row = tile * 8 + r % 8;
  } else {
    *index = static_cast<int>(matrix.sources.size()) - 1;
    while (matrix.sources[static_cast<size_t>(*index)].first_tile > tile) --*index;
    row -= int64_t{matrix.sources[static_cast<size_t>(*index)].first_tile} * kRows;
  }
  const AirMatrix& source = *sources[*index];
  if (row >= source.rows) return {};
  return {source.data + row / kRows * source.tile_stride, row % kRows};
}

}  // namespace

void pack_device_tiles(const DeviceMatrix& matrix, const AirMatrix* const* sources, int64_t tile_begin,
                       int64_t tile_end, uint8_t* out) {
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    uint8_t* to = out + (tile - tile_begin) * matrix.tile_stride;
    std::memset(to, 0, static_cast<size_t>(matrix.tile_stride));
    for (int r = 0; r < kRows; ++r) {
      int index = 0;
      const SourceRow from = source_row(matrix, sources, tile, r, &index);
      if (from.tile == nullptr) continue;
      if (matrix.format == WeightFormat::kF32) {
        pack_float_row(*sources[index], from, r, to);
      } else if (matrix.format == WeightFormat::kF16) {
        pack_half_row(*sources[index], from, r, to);
      } else {
        pack_integer_row(*sources[index], matrix.format, from, r, to);
      }
    }
  }
}

}  // namespace air::cuda
