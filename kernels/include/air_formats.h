// Memory formats shared by the kernels and native/core. Plain C: no inline functions live here, because a
// function compiled twice with different -m flags may be merged by the linker into the wrong one.
#ifndef AIR_FORMATS_H_
#define AIR_FORMATS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------
// Packed weights
//
// A weight matrix W is [rows, cols] with y = W x: rows are output channels (n), cols the reduction (k).
// It is cut into tiles of 16 output rows. One tile holds all of k for its 16 rows, so that one load feeds 16
// rows at once and every lane of a vector register is one output row. Missing rows of the last tile are zero.
//
//   tile = [scales][mins, when has_min][values]      each section starts 64-byte aligned
//
//   scales  float16 [cols / scale_group][16]         integer classes only
//   mins    float16 [cols / 32][16]                  integer classes with has_min only
//   values  by class:
//     INT4  uint8, 16 bytes b of every group g of 32 k and row; a byte holds two 4-bit values:
//             low nibble  k = 32 g      + b
//             high nibble k = 32 g + 16 + b
//     INT8  int8, 32 bytes b of every group and row: k = 32 g + b
//             both ordered as the kernels multiply them (AirLayout):
//               QUADS  [cols / 32][bytes / 4][16][4]     byte (g, j, r, i) is b = 4 j + i of row r
//               PAIRS  [cols / 32][8][bytes / 8][2][8]   byte (g, p, j, r, i) is b = 8 j + i of row 2 p + r
//     F16   uint16 [cols][16]             IEEE binary16
//     F32   float  [cols][16]
//
// Meaning of an integer weight, with s = scale of its scale group and m = min of its group of 32:
//     INT4 without mins  w = s * (q - 8)      q in 0..15; PAIRS holds q - 8 in two's complement
//     INT4 with mins     w = s * q + m
//     INT8 without mins  w = s * q            q in -128..127
//     INT8 with mins     w = s * q + m
// cols is a multiple of 32 for the integer classes. scale_group is 32, or 16 for INT8 without mins (Q6_K).
// ---------------------------------------------------------------------------------------------------------
// Packed weights outlive a process in pack files (native/core/weights/pack_file.h), which tell the layouts apart by
// name. Raise AIR_FORMAT_VERSION when anything above changes: files of other versions are packed anew.
#define AIR_FORMAT_VERSION 1

// Each instruction set reads one layout (AirKernelTable).
typedef enum {
  AIR_LAYOUT_QUADS = 0,  // one load feeds up to 16 rows with 4 k each
  AIR_LAYOUT_PAIRS = 1,  // 16 bytes are 8 k of two rows, an operand of ARM's matrix multiply instructions
} AirLayout;

#define AIR_TILE_ROWS 16
#define AIR_GROUP 32
#define AIR_MAX_COLS 131072  // the longest reduction

typedef enum {
  AIR_WEIGHT_INT4 = 0,
  AIR_WEIGHT_INT8 = 1,
  AIR_WEIGHT_F16 = 2,
  AIR_WEIGHT_F32 = 3,
} AirWeightClass;
#define AIR_WEIGHT_CLASSES 4

typedef struct {
  const uint8_t* data;    // ceil(rows / 16) tiles, 64-byte aligned
  int64_t rows;           // output channels
  int64_t cols;           // reduction length
  int64_t tile_stride;    // bytes from one tile to the next, a multiple of 64
  int64_t mins_offset;    // bytes from the tile's start; unused without mins
  int64_t values_offset;  // bytes from the tile's start
  int32_t weight_class;   // AirWeightClass
  int32_t scale_group;    // 32 or 16; 0 for float classes
  int32_t has_min;        // 0 or 1
  int32_t layout;         // AirLayout of the integer classes; float classes have but one
} AirMatrix;

// ---------------------------------------------------------------------------------------------------------
// Activations: float32 rows and, for integer weights, the same rows quantised to int8 in groups of 32:
//     scale = max|x| / 127,  q = round_to_nearest_even(x * (127 / max|x|)),  an all-zero group has scale 0.
// sums16 holds the sum of q over each 16 values: kernels that need unsigned operands correct by it.
// ---------------------------------------------------------------------------------------------------------
typedef struct {
  const float* values;    // [rows, cols]
  const int8_t* q;        // [rows, cols]        null when no integer weight reads these rows
  const float* scales;    // [rows, cols / 32]
  const int32_t* sums16;  // [rows, cols / 16]
  int64_t rows;
  int64_t cols;
} AirActivations;

// ---------------------------------------------------------------------------------------------------------
// KV pages
//
// A page of a head group holds page_tokens tokens for every member (layer, KV head) of the group. The bytes
// of one member in one page, with D = head_dim rounded up to a multiple of 32 (the padding is zero):
//
//   keys          [page_tokens / 16] stripes of 16 tokens, the tokens being the lanes:
//                   INT8  int8   [D / 4][16][4]      byte (j, t, i) holds dim 4 j + i of token t
//                   INT4  uint8  [D / 32][4][16][4]  byte (g, j, t, i) holds two dims of token t:
//                           low nibble  32 g      + 4 j + i
//                           high nibble 32 g + 16 + 4 j + i
//                   F16   uint16 [D][16]
//   values        [page_tokens][D]  int8 or binary16; INT4: [page_tokens][D / 32][16] bytes, of which byte b of
//                   group g holds the dims 32 g + b (low nibble) and 32 g + 16 + b (high nibble)
//   key scales, value scales   float16, none for F16
//                   INT8  [page_tokens]
//                   INT4  [page_tokens / 16][D / 32][16]
//
// Keys are stored rotated at their absolute position and never touched again. An int8 entry is
//     scale = float16(max|x| / 127),  q = clamp(round_to_nearest_even(x / scale), -127, 127)
// per token and head. An int4 entry, per token and group of 32 dims and stored as q + 8, is
//     scale = float16(m / -8),        q = clamp(round_to_nearest_even(x / scale), -8, 7)
// where m is the value of largest magnitude, the positive one of two (as Q4_0, which takes the first).
// page_tokens is a multiple of 16; every section offset is a multiple of 32 bytes.
// ---------------------------------------------------------------------------------------------------------
#define AIR_STRIPE 16
#define AIR_MAX_HEAD_DIM 256  // the largest D

typedef enum {
  AIR_KV_INT8 = 0,
  AIR_KV_F16 = 1,
  AIR_KV_INT4 = 2,
} AirKvType;

typedef struct {
  int32_t page_tokens;
  int32_t head_dim;       // D, padded to a multiple of 32
  int32_t key_type;       // AirKvType
  int32_t value_type;     // AirKvType
  int64_t values_offset;  // bytes from the member's start within a page
  int64_t key_scales_offset;
  int64_t value_scales_offset;
  int64_t member_bytes;  // bytes of one member in one page, a multiple of 64
} AirKvLayout;

#ifdef __cplusplus
}
#endif
#endif  // AIR_FORMATS_H_
