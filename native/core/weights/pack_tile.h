// One tile of a quantised tensor, and one of a float tensor: what pack_tiles calls for each tile.
#ifndef AIR_CORE_WEIGHTS_PACK_TILE_H_
#define AIR_CORE_WEIGHTS_PACK_TILE_H_

#include <cstdint>

#include "native/core/weights/pack.h"

namespace air {

// The part of the file that becomes one tile.
struct TileSource {
  const uint8_t* rows[AIR_TILE_ROWS];  // [row_count] whole rows of the file, any alignment
  int64_t row_count;                   // 1..16
  const int64_t* column_groups;        // [ceil(cols / 32)] of the packed matrix, or null: all there are

  // The file's group of 32 columns that becomes group g.
  int64_t column_group(int64_t g) const { return column_groups == nullptr ? g : column_groups[g]; }
};

// The sections of one zeroed tile; layouts in kernels/include/air_formats.h.
struct TileSections {
  uint16_t* scales;  // [cols / scale_group][16]
  uint16_t* mins;    // [cols / 32][16]
  uint8_t* values;
};

// Neither checks for NaN: the caller looks at the finished tile.
void pack_quantized_tile(TensorType type, const AirMatrix& matrix, const TileSource& source,
                         const TileSections& tile, ConversionError* error) noexcept;
void pack_float_tile(TensorType type, const AirMatrix& matrix, const TileSource& source,
                     const TileSections& tile, ConversionError* error) noexcept;

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACK_TILE_H_
