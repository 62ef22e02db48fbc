// From packed bytes to the operands of mma.m16n8k16: weights (A) dequantised to small integers in float16, which are
// exact, with their scales apart, and activations (B) from swizzled rows of shared memory.
//
// The formats and the k that a register holds are drawn in kernels/cuda/matmul_params.h.
#ifndef AIR_KERNELS_CUDA_MATMUL_FRAGMENTS_H_
#define AIR_KERNELS_CUDA_MATMUL_FRAGMENTS_H_

#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul_params.h"

namespace air::cuda {

// What the loops must know of a format at compile time.
template <WeightFormat weight_format>
struct Format {
  static constexpr WeightFormat kFormat = weight_format;
  static constexpr bool kIsInt4 =
      weight_format == WeightFormat::kInt4 || weight_format == WeightFormat::kInt4Min;
  static constexpr bool kIsF16 = weight_format == WeightFormat::kF16;
  static constexpr bool kHasMin =
      weight_format == WeightFormat::kInt4Min || weight_format == WeightFormat::kInt8Min;
  static constexpr bool kHasGroup16 = weight_format == WeightFormat::kInt8Group16;
  static constexpr int kChunkBytes = chunk_bytes(weight_format);
  static constexpr int kValueBytes = chunk_value_bytes(weight_format);
  static constexpr int kRecordBytes = scale_record_bytes(weight_format);
  static constexpr int kHalfWords = kValueBytes / 256;  // packed words of a lane per half of a chunk
};

// --- weights ------------------------------------------------------------------------------------------------

// A lane's words of half h of a chunk, as they are packed. values: the chunk in shared memory.
template <class F>
AIR_DEVICE void load_values(const uint8_t* values, int h, uint32_t (&words)[F::kHalfWords]) {
  const uint8_t* half = values + h * (F::kValueBytes / 2);
  if constexpr (F::kIsInt4) {
    const Words2 v = load_words2(half + lane_id() * 8);
    words[0] = v.x;
    words[1] = v.y;
  } else {
    AIR_UNROLL
    for (int i = 0; i < F::kHalfWords; i += 4) {
      const Words4 v = load_words4(half + i * 128 + lane_id() * 16);
      words[i] = v.x;
      words[i + 1] = v.y;
      words[i + 2] = v.z;
      words[i + 3] = v.w;
    }
  }
}

// 0x6400 | n is 1024 + n in float16 for n < 1024.
constexpr uint32_t kHalf1024 = 0x64006400u;

// 8 nibbles to the 4 registers of a step, each q - 8. The upper nibble of a byte is 16 q, which an fma takes back:
// (1024 + 16 q) / 16 - 72 = q - 8, exact.
AIR_DEVICE void dequantize_int4(uint32_t word, uint32_t (&a)[4]) {
  constexpr uint32_t kHalf1032 = 0x64086408u;
  constexpr uint32_t kSixteenth = 0x2c002c00u;
  constexpr uint32_t kMinus72 = 0xd480d480u;
  const uint32_t upper = word >> 8;
  a[0] = sub_halves(logic3<0xea>(word, 0x000f000fu, kHalf1024), kHalf1032);
#ifdef AIR_PLANT_FRAGMENT  // test/kernels: two registers change places
  constexpr int kUpperRow = 2, kUpperColumns = 1;
#else
  constexpr int kUpperRow = 1, kUpperColumns = 2;
#endif
  a[kUpperRow] = fma_halves(logic3<0xea>(word, 0x00f000f0u, kHalf1024), kSixteenth, kMinus72);
  a[kUpperColumns] = sub_halves(logic3<0xea>(upper, 0x000f000fu, kHalf1024), kHalf1032);
  a[3] = fma_halves(logic3<0xea>(upper, 0x00f000f0u, kHalf1024), kSixteenth, kMinus72);
}

// 8 bytes q + 128 to the 4 registers of a step, each q.
AIR_DEVICE void dequantize_int8(uint32_t low, uint32_t high, uint32_t (&a)[4]) {
  constexpr uint32_t kHalf1152 = 0x64806480u;
  a[0] = sub_halves(permute_bytes(low, kHalf1024, 0x5150), kHalf1152);
  a[1] = sub_halves(permute_bytes(low, kHalf1024, 0x5352), kHalf1152);
  a[2] = sub_halves(permute_bytes(high, kHalf1024, 0x5150), kHalf1152);
  a[3] = sub_halves(permute_bytes(high, kHalf1024, 0x5352), kHalf1152);
}

// The registers of step j of a half.
template <class F>
AIR_DEVICE void dequantize(const uint32_t (&words)[F::kHalfWords], int j, uint32_t (&a)[4]) {
  if constexpr (F::kIsInt4) {
    dequantize_int4(words[j], a);
  } else if constexpr (F::kIsF16) {
    AIR_UNROLL
    for (int r = 0; r < 4; ++r) a[r] = words[4 * j + r];
  } else {
    dequantize_int8(words[2 * j], words[2 * j + 1], a);
  }
}

// What half a chunk is scaled by, of the lane's rows g and g + 8, in float32.
template <class F>
struct Scales {
  float scale[2][F::kHasGroup16 ? 2 : 1];  // [row][step]
  float min[2];  // what the half adds per x: min, and for INT4 8 scale more, as q - 8 is multiplied
};

AIR_DEVICE float low_half(uint32_t pair) { return half_to_float(static_cast<uint16_t>(pair & 0xffffu)); }
AIR_DEVICE float high_half(uint32_t pair) { return half_to_float(static_cast<uint16_t>(pair >> 16)); }

// records: the chunk's scale records in shared memory.
template <class F>
AIR_DEVICE void load_scales(const uint8_t* records, int h, Scales<F>& scales) {
  const uint8_t* record = records + (static_cast<uint32_t>(h) * 8 + lane_id() / 4) * F::kRecordBytes;
  if constexpr (F::kRecordBytes == 4) {
    const uint32_t rows = *reinterpret_cast<const uint32_t*>(record);
    scales.scale[0][0] = low_half(rows);
    scales.scale[1][0] = high_half(rows);
  } else if constexpr (F::kHasGroup16) {
    const Words2 rows = load_words2(record);
    scales.scale[0][0] = low_half(rows.x);
    scales.scale[0][1] = high_half(rows.x);
    scales.scale[1][0] = low_half(rows.y);
    scales.scale[1][1] = high_half(rows.y);
  } else if constexpr (F::kHasMin) {
    const Words2 v = load_words2(record);
    scales.scale[0][0] = low_half(v.x);
    scales.scale[1][0] = high_half(v.x);
    scales.min[0] = low_half(v.y);
    scales.min[1] = high_half(v.y);
    if constexpr (F::kIsInt4) {
      scales.min[0] = fmaf(8.0f, scales.scale[0][0], scales.min[0]);
      scales.min[1] = fmaf(8.0f, scales.scale[1][0], scales.min[1]);
    }
  }
}

// --- activations ----------------------------------------------------------------------------------------------
// A stage holds [rows][64 k] float16, 128 bytes to a row in 8 units of 16 bytes. Unit u of row r lies at u ^
// swizzle(r): the 8 (of 16-byte loads) or 16 (of 8-byte loads) lanes that shared memory serves at once then touch
// every bank once.

constexpr int kActivationRowBytes = 2 * kChunkColumns;

AIR_DEVICE uint32_t swizzle(uint32_t row) { return (row & 1u) << 2 | (row & 2u); }

// Starts the copy of 16 bytes: unit `unit` of the columns from first_column on, of row first_row + row. Rows from
// row_end on and columns from cols on are zero.
AIR_DEVICE void copy_activation_unit(const MatmulParams& p, int32_t first_row, int32_t row_end,
                                     int32_t first_column, uint32_t row, uint32_t unit, uint8_t* stage) {
  const int32_t column = first_column + static_cast<int32_t>(unit) * 8;
  const int32_t x_row = first_row + static_cast<int32_t>(row);
  const int32_t left = x_row < row_end ? 2 * (p.cols - column) : 0;  // bytes of the row from here on
  const uint32_t bytes = left >= 16 ? 16u : left > 0 ? static_cast<uint32_t>(left) : 0u;
  const uint16_t* from = bytes > 0 ? p.x + static_cast<int64_t>(x_row) * p.x_stride + column : p.x;
  cp_async16_zero_fill(stage + row * kActivationRowBytes + (unit ^ swizzle(row)) * 16, from, bytes);
}

// Starts the copy of the columns [first_column, first_column + 64) of `rows` rows from first_row on by the warp, 4
// at once.
template <uint32_t rows>
AIR_DEVICE void copy_activations_by_warp(const MatmulParams& p, int32_t first_row, int32_t row_end,
                                         int32_t first_column, uint8_t* stage) {
  AIR_UNROLL
  for (uint32_t row = 0; row < rows; row += 4) {
    copy_activation_unit(p, first_row, row_end, first_column, row + lane_id() / 8, lane_id() % 8, stage);
  }
}

// The same by all warps of the block.
template <uint32_t rows>
AIR_DEVICE void copy_activations_by_block(const MatmulParams& p, int32_t first_row, int32_t row_end,
                                          int32_t first_column, uint8_t* stage) {
  AIR_NO_UNROLL
  for (uint32_t row = thread_id() / 8; row < rows; row += block_threads() / 8) {
    copy_activation_unit(p, first_row, row_end, first_column, row, thread_id() % 8, stage);
  }
}

// The B registers of both steps of half h, for the 8 rows that start at `rows` (a multiple of 8 rows into a stage).
template <class F>
AIR_DEVICE void load_activations(const uint8_t* rows, int h, uint32_t (&b)[2][2]) {
  const uint32_t g = lane_id() / 4;
  const uint32_t t = lane_id() % 4;
  const uint8_t* row = rows + g * kActivationRowBytes;
  if constexpr (F::kHasGroup16) {
    AIR_UNROLL
    for (int j = 0; j < 2; ++j) {
      const uint32_t unit = static_cast<uint32_t>(4 * h + 2 * j) + t / 2;
      const Words2 v = load_words2(row + (unit ^ swizzle(g)) * 16 + t % 2 * 8);
      b[j][0] = v.x;
      b[j][1] = v.y;
    }
  } else {
    const uint32_t unit = static_cast<uint32_t>(4 * h) + t;
    const Words4 v = load_words4(row + (unit ^ swizzle(g)) * 16);
    b[0][0] = v.x;
    b[0][1] = v.y;
    b[1][0] = v.z;
    b[1][1] = v.w;
  }
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_MATMUL_FRAGMENTS_H_
