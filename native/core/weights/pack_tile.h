// One tile of a quantised tensor, and one of a float tensor: what pack_tiles calls for each tile.
#ifndef AIR_CORE_WEIGHTS_PACK_TILE_H_
#define AIR_CORE_WEIGHTS_PACK_TILE_H_

#include <cstdint>

#include "native/core/weights/pack.h"

namespace air {

// The file rows that become one tile.
struct TileRows {
  const uint8_t* first;  // `rows` rows, any alignment
  int64_t row_bytes;
  int64_t rows;  // 1..16
};

// The sections of one zeroed tile; layouts in kernels/include/air_formats.h.
struct TileSections {
  uint16_t* scales;  // [cols / scale_group][16]
  uint16_t* mins;    // [cols / 32][16]
  uint8_t* values;
};

// Neither checks for NaN: the caller looks at the finished tile.
void pack_quantized_tile(TensorType type, const AirMatrix& matrix, const TileRows& source,
                         const TileSections& tile, ConversionError* error) noexcept;
void pack_float_tile(TensorType type, const AirMatrix& matrix, const TileRows& source,
                     const TileSections& tile, ConversionError* error) noexcept;

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACK_TILE_H_
