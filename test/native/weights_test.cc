#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/core/weights/pack.h"
#include "test/native/check.h"
#include "test/native/support/random_tensor.h"
#include "test/native/support/unpack.h"

using air::ConversionError;
using air::Status;
using air::StatusCode;
using air_test::ExactWeight;
using air_test::OwnedTensor;
using air_test::TensorType;

namespace {

constexpr uint8_t kUntouched = 0xab;

// A packed tensor that owns its 64-byte aligned memory; everything is kUntouched before packing.
struct Packed {
  AirMatrix matrix{};
  std::vector<uint8_t> storage;
  uint8_t* data = nullptr;
  ConversionError error;
  Status status;

  explicit Packed(const air::Tensor& tensor, AirLayout layout = AIR_LAYOUT_QUADS, int64_t tile_begin = 0,
                  int64_t tile_end = -1) {
    int64_t total = 0;
    status = air::plan_matrix(tensor, {}, layout, &matrix, &total);
    if (!status.ok()) return;
    storage.assign(static_cast<size_t>(total + 64), kUntouched);
    data = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64;
    matrix.data = data;
    status = air::pack_tiles(tensor, {}, matrix, data, tile_begin, tile_end < 0 ? tiles() : tile_end, &error);
  }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  int64_t tiles() const { return (matrix.rows + 15) / 16; }
};

bool is_k_type(TensorType type) {
  return type == TensorType::kQ4K || type == TensorType::kQ5K || type == TensorType::kQ6K;
}

constexpr AirLayout kLayouts[] = {AIR_LAYOUT_QUADS, AIR_LAYOUT_PAIRS};

std::string name_of(TensorType type) { return air::tensor_type_info(type).name; }

int64_t cols_for(TensorType type) { return air::tensor_type_info(type).block_values == 256 ? 512 : 96; }

// Half a unit in the last place of float16 at x: the most that rounding x to float16 loses.
double half_ulp(double x) { return std::max(std::abs(x) * 0x1p-11, 0x1p-25); }

// What packing may lose: nothing for exact classes; for K types half an ulp of each rounded product, plus the
// float32 roundings of unpack_row's and dequantize_row's sums; for BF16 half of float16's smallest subnormal.
double pack_tolerance(TensorType type, const ExactWeight& w) {
  const double rounding = std::abs(w.value()) * 0x1p-23 + std::abs(w.min) * 0x1p-23;
  if (is_k_type(type)) return half_ulp(w.scale) * std::abs(w.q) + half_ulp(w.min) + rounding;
  return type == TensorType::kBf16 ? 0x1p-25 : 0;
}

}  // namespace

TEST(dequantize_row_agrees_with_the_scalar_decoder_for_every_type) {
  for (const TensorType type : air_test::kAllTypes) {
    const int64_t rows = 5, cols = cols_for(type);
    const OwnedTensor tensor = air_test::random_tensor(type, rows, cols, 11);
    std::vector<float> out(cols);
    int bad = 0;
    for (int64_t r = 0; r < rows; ++r) {
      air::dequantize_row(tensor.view, r, out.data());
      for (int64_t k = 0; k < cols; ++k) {
        bad += out[k] != static_cast<float>(air_test::exact_weight(tensor.view, r, k).value());
      }
    }
    CHECK_MSG(bad == 0, name_of(type) + ": " + std::to_string(bad) + " weights differ");
  }
}

TEST(dequantize_row_reads_the_whole_of_a_one_dimensional_tensor) {
  OwnedTensor tensor = air_test::random_tensor(TensorType::kF16, 1, 7, 5);
  tensor.view.shape = {7};
  float out[7];
  air::dequantize_row(tensor.view, 0, out);
  for (int64_t k = 0; k < 7; ++k) CHECK_EQ(out[k], air_test::exact_weight(tensor.view, 0, k).value());
}

// How far the rows of a packed tensor are from the file's.
int rows_beyond_tolerance(const OwnedTensor& tensor, const Packed& packed) {
  const int64_t cols = packed.matrix.cols;
  std::vector<float> out(cols), exact(cols);
  int bad = 0;
  for (int64_t r = 0; r < packed.matrix.rows; ++r) {
    air_test::unpack_row(packed.matrix, r, out.data());
    air::dequantize_row(tensor.view, r, exact.data());
    for (int64_t k = 0; k < cols; ++k) {
      const double tolerance = pack_tolerance(tensor.view.type, air_test::exact_weight(tensor.view, r, k));
      bad += !(std::abs(static_cast<double>(out[k]) - exact[k]) <= tolerance);
    }
  }
  return bad;
}

TEST(packed_rows_read_back_within_the_tolerance_of_their_type) {
  const int64_t row_counts[] = {1, 16, 37};  // one lane; whole tiles; a ragged last tile
  for (const AirLayout layout : kLayouts) {
    for (const TensorType type : air_test::kAllTypes) {
      for (const int64_t rows : row_counts) {
        const OwnedTensor tensor = air_test::random_tensor(type, rows, cols_for(type), 23);
        const Packed packed(tensor.view, layout);
        CHECK_MSG(packed.status.ok(), packed.status.message());
        if (!packed.status.ok()) continue;
        const int bad = rows_beyond_tolerance(tensor, packed);
        CHECK_MSG(bad == 0, name_of(type) + " of " + std::to_string(rows) + " rows, " +
                                air::layout_name(layout) + ": " + std::to_string(bad));
      }
    }
  }
}

// Walks the values section front to back in the nesting order of air_formats.h, with no index arithmetic: words of
// `word` bytes, those of `rows` rows beside each other.
int integers_out_of_place(const OwnedTensor& tensor, const Packed& packed, int rows, int word) {
  const bool int4 = packed.matrix.weight_class == AIR_WEIGHT_INT4;
  const int bytes = int4 ? 16 : 32;
  const bool is_unsigned = int4 && !packed.matrix.has_min && packed.matrix.layout == AIR_LAYOUT_QUADS;
  const auto q_at = [&](int64_t row, int64_t k) {
    return air_test::exact_weight(tensor.view, row, k).q + (is_unsigned ? 8 : 0);
  };
  int bad = 0;
  for (int64_t t = 0; t < 2; ++t) {
    const uint8_t* byte = packed.data + t * packed.matrix.tile_stride + packed.matrix.values_offset;
    for (int64_t k = 0; k < packed.matrix.cols; k += 32) {
      for (int p = 0; p < 16; p += rows) {
        for (int b = 0; b < bytes; b += word) {
          for (int r = 0; r < rows; ++r) {
            for (int i = 0; i < word; ++i, ++byte) {
              const int q = q_at(16 * t + p + r, k + b + i);
              const int high = int4 ? q_at(16 * t + p + r, k + 16 + b + i) : 0;
              bad += *byte != (int4 ? (high & 15) << 4 | (q & 15) : q & 255);
            }
          }
        }
      }
    }
  }
  return bad;
}

TEST(integer_values_lie_in_the_order_that_the_kernels_read) {
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ4K, TensorType::kQ8_0,
                                TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ5K, TensorType::kQ6K}) {
    const OwnedTensor tensor = air_test::random_tensor(type, 32, cols_for(type), 31);
    const int quads = integers_out_of_place(tensor, Packed(tensor.view, AIR_LAYOUT_QUADS), 16, 4);
    const int pairs = integers_out_of_place(tensor, Packed(tensor.view, AIR_LAYOUT_PAIRS), 2, 8);
    CHECK_MSG(quads == 0, name_of(type) + ": " + std::to_string(quads) + " bytes out of place in quads");
    CHECK_MSG(pairs == 0, name_of(type) + ": " + std::to_string(pairs) + " bytes out of place in pairs");
  }
}

TEST(plan_matrix_keeps_each_type_in_its_class_with_aligned_sections) {
  const struct {
    TensorType type;
    int weight_class, scale_group, has_min;
    int64_t values_per_tile;  // bytes, for 512 columns
  } cases[] = {
      {TensorType::kQ4_0, AIR_WEIGHT_INT4, 32, 0, 4096}, {TensorType::kQ4_1, AIR_WEIGHT_INT4, 32, 1, 4096},
      {TensorType::kQ4K, AIR_WEIGHT_INT4, 32, 1, 4096},  {TensorType::kQ8_0, AIR_WEIGHT_INT8, 32, 0, 8192},
      {TensorType::kQ5_0, AIR_WEIGHT_INT8, 32, 0, 8192}, {TensorType::kQ5_1, AIR_WEIGHT_INT8, 32, 1, 8192},
      {TensorType::kQ5K, AIR_WEIGHT_INT8, 32, 1, 8192},  {TensorType::kQ6K, AIR_WEIGHT_INT8, 16, 0, 8192},
      {TensorType::kF16, AIR_WEIGHT_F16, 0, 0, 16384},   {TensorType::kBf16, AIR_WEIGHT_F16, 0, 0, 16384},
      {TensorType::kF32, AIR_WEIGHT_F32, 0, 0, 32768},
  };
  for (const auto& c : cases) {
    const OwnedTensor tensor = air_test::random_tensor(c.type, 17, 512, 3);
    AirMatrix m{};
    int64_t total = 0;
    CHECK(air::plan_matrix(tensor.view, {}, AIR_LAYOUT_PAIRS, &m, &total).ok());
    CHECK_EQ(m.layout, AIR_LAYOUT_PAIRS);
    const int64_t scales = c.scale_group == 0 ? 0 : 512 / c.scale_group * 32;
    CHECK_EQ(m.weight_class, c.weight_class);
    CHECK_EQ(m.scale_group, c.scale_group);
    CHECK_EQ(m.has_min, c.has_min);
    CHECK_EQ(m.rows, 17);
    CHECK_EQ(m.cols, 512);
    CHECK_EQ(m.values_offset, scales + (c.has_min ? 512 : 0));
    CHECK_EQ(m.tile_stride, m.values_offset + c.values_per_tile);
    CHECK_EQ(total, 2 * m.tile_stride);
    CHECK(!c.has_min || m.mins_offset == scales);
  }
}

TEST(plan_matrix_pads_short_sections_to_cache_lines) {
  const OwnedTensor tensor = air_test::random_tensor(TensorType::kQ4_1, 1, 32, 3);
  const Packed packed(tensor.view);
  CHECK_EQ(packed.matrix.mins_offset, 64);  // 32 bytes of scales
  CHECK_EQ(packed.matrix.values_offset, 128);
  CHECK_EQ(packed.matrix.tile_stride, 128 + 256);
  for (int i = 32; i < 64; ++i) CHECK_EQ(static_cast<int>(packed.data[i]), 0);
}

// The row of a tile that byte `index` of its values belongs to.
int64_t lane_of(const AirMatrix& m, int64_t index) {
  if (m.weight_class == AIR_WEIGHT_F16) return index / 2 % 16;
  if (m.weight_class == AIR_WEIGHT_F32 || m.layout == AIR_LAYOUT_QUADS) return index / 4 % 16;
  const int64_t pair_bytes = m.weight_class == AIR_WEIGHT_INT4 ? 32 : 64;  // of a group
  return index / pair_bytes % 8 * 2 + index / 8 % 2;
}

void check_missing_rows(TensorType type, AirLayout layout) {
  const OwnedTensor tensor = air_test::random_tensor(type, 19, cols_for(type), 41);
  const Packed packed(tensor.view, layout);
  const AirMatrix& m = packed.matrix;
  const uint8_t* tile = packed.data + m.tile_stride;
  const auto* halves = reinterpret_cast<const uint16_t*>(tile);
  for (int64_t i = 0; i < m.values_offset / 2; ++i) {
    if (i % 16 >= 3) CHECK_MSG(halves[i] == 0, name_of(type) + ": a scale or min is not zero");
  }
  const bool has_offset = type == TensorType::kQ4_0 && layout == AIR_LAYOUT_QUADS;
  const uint8_t zero = has_offset ? 0x88 : 0;  // two nibbles of 8
  int bad = 0;
  for (int64_t i = m.values_offset; i < m.tile_stride; ++i) {
    bad += lane_of(m, i - m.values_offset) >= 3 && tile[i] != zero;
  }
  CHECK_MSG(bad == 0, name_of(type) + ": " + std::to_string(bad) + " value bytes are not zero");
}

TEST(missing_rows_of_the_last_tile_are_zero_with_zero_scales) {
  for (const AirLayout layout : kLayouts) {
    for (const TensorType type : air_test::kAllTypes) check_missing_rows(type, layout);
  }
}

TEST(pack_tiles_writes_only_the_asked_tiles_and_the_same_bytes_as_a_whole_pack) {
  for (const TensorType type : air_test::kAllTypes) {
    const OwnedTensor tensor = air_test::random_tensor(type, 40, cols_for(type), 53);
    const Packed whole(tensor.view);
    const Packed middle(tensor.view, AIR_LAYOUT_QUADS, 1, 2);
    CHECK(whole.status.ok() && middle.status.ok());
    const int64_t stride = whole.matrix.tile_stride;
    CHECK_MSG(std::memcmp(whole.data + stride, middle.data + stride, static_cast<size_t>(stride)) == 0,
              name_of(type));
    const auto untouched = [](uint8_t byte) { return byte == kUntouched; };
    CHECK_MSG(std::all_of(middle.data, middle.data + stride, untouched), name_of(type) + ": tile 0 changed");
    CHECK_MSG(std::all_of(middle.data + 2 * stride, middle.data + 3 * stride, untouched),
              name_of(type) + ": tile 2 changed");
  }
}

TEST(conversion_error_is_zero_for_exact_classes_and_the_true_loss_for_the_others) {
  for (const TensorType type : air_test::kAllTypes) {
    const int64_t rows = 21, cols = cols_for(type);
    const OwnedTensor tensor = air_test::random_tensor(type, rows, cols, 61);
    const Packed packed(tensor.view);
    double squared_error = 0, squared_weight = 0, largest = 0;
    std::vector<float> out(cols);
    for (int64_t r = 0; r < rows; ++r) {
      air_test::unpack_row(packed.matrix, r, out.data());
      for (int64_t k = 0; k < cols; ++k) {
        const double exact = air_test::exact_weight(tensor.view, r, k).value();
        squared_error += (out[k] - exact) * (out[k] - exact);
        squared_weight += exact * exact;
        largest = std::max(largest, std::abs(out[k] - exact));
      }
    }
    if (!is_k_type(type) && type != TensorType::kBf16) {
      CHECK_MSG(packed.error.squared_error == 0 && packed.error.max_abs_error == 0, name_of(type));
      continue;
    }
    // unpack_row's float32 sums add noise 2^-13 times the float16 rounding: 1% is ample.
    CHECK_MSG(squared_error > 0, name_of(type));
    CHECK_MSG(std::abs(packed.error.squared_error / squared_error - 1) < 0.01, name_of(type));
    CHECK_MSG(std::abs(packed.error.squared_weight / squared_weight - 1) < 1e-9, name_of(type));
    CHECK_MSG(std::abs(packed.error.max_abs_error / largest - 1) < 0.01, name_of(type));
  }
}

TEST(conversion_errors_of_tile_ranges_add_up) {
  const OwnedTensor tensor = air_test::random_tensor(TensorType::kQ4K, 32, 512, 67);
  const Packed whole(tensor.view), first(tensor.view, AIR_LAYOUT_QUADS, 0, 1);
  Packed second(tensor.view, AIR_LAYOUT_QUADS, 1, 2);
  second.error = first.error;
  CHECK(air::pack_tiles(tensor.view, {}, second.matrix, second.data, 1, 2, &second.error).ok());
  CHECK(std::abs(second.error.squared_error / whole.error.squared_error - 1) < 1e-12);
  CHECK_EQ(second.error.max_abs_error, whole.error.max_abs_error);
}

TEST(every_float_field_that_is_nan_or_infinite_is_refused_with_its_row) {
  for (const TensorType type : air_test::kAllTypes) {
    const bool is_float = air_test::half_offsets(type).empty();
    for (const int offset : is_float ? std::vector<int>{0} : air_test::half_offsets(type)) {
      for (const bool nan : {true, false}) {
        OwnedTensor tensor = air_test::random_tensor(type, 20, cols_for(type), 71);
        const int64_t last = cols_for(type) / air::tensor_type_info(type).block_values - 1;
        const uint16_t half = nan ? 0x7e00 : 0xfc00;
        const uint32_t word = nan ? 0x7fc00000 : 0xff800000;
        uint8_t* field = tensor.block(17, last) + offset;
        if (type == TensorType::kF32) {
          std::memcpy(field, &word, 4);
        } else if (type == TensorType::kBf16) {
          std::memcpy(field, reinterpret_cast<const uint8_t*>(&word) + 2, 2);
        } else {
          std::memcpy(field, &half, 2);
        }
        CHECK_MSG(!air::row_is_finite(tensor.view, 17), name_of(type));
        CHECK_MSG(air::row_is_finite(tensor.view, 16), name_of(type));
        const Packed packed(tensor.view);
        CHECK_MSG(packed.status.code() == StatusCode::kModelFormat, name_of(type));
        const std::string expected =
            "expected finite weights for blk.3.ffn_up.weight but received a non-finite " +
            std::string(is_float ? "weight" : "scale") + " in row 17";
        CHECK_EQ(packed.status.message(), expected);
        CHECK_EQ(packed.error.squared_weight, 0);  // untouched on failure
      }
    }
  }
}

TEST(products_of_scales_beyond_float16_are_refused) {
  const uint16_t large = 0x7bff;  // 65504
  for (const TensorType type : {TensorType::kQ4K, TensorType::kQ5K, TensorType::kQ6K}) {
    for (const int offset : air_test::half_offsets(type)) {
      OwnedTensor tensor = air_test::random_tensor(type, 3, 256, 73);
      std::memcpy(tensor.block(2, 0) + offset, &large, 2);
      const Packed packed(tensor.view);
      CHECK_MSG(packed.status.code() == StatusCode::kModelFormat, name_of(type));
      CHECK_MSG(packed.status.message().find("above 65504 in row 2") != std::string::npos,
                packed.status.message());
    }
  }
}

TEST(bf16_beyond_float16_is_packed_as_float32_and_exact) {
  OwnedTensor tensor = air_test::random_tensor(TensorType::kBf16, 2, 5, 79);
  const uint16_t large = 0xc780;  // -65536
  std::memcpy(tensor.block(1, 4), &large, 2);
  const Packed packed(tensor.view);
  CHECK(packed.status.ok());
  CHECK_EQ(packed.matrix.weight_class, static_cast<int>(AIR_WEIGHT_F32));
  CHECK_EQ(packed.error.max_abs_error, 0);
  float out[5];
  for (int64_t r = 0; r < 2; ++r) {
    air_test::unpack_row(packed.matrix, r, out);
    for (int64_t k = 0; k < 5; ++k) CHECK_EQ(out[k], air_test::exact_weight(tensor.view, r, k).value());
  }
}

TEST(the_largest_bf16_within_float16_stays_float16) {
  OwnedTensor tensor = air_test::random_tensor(TensorType::kBf16, 1, 3, 83);
  const uint16_t large = 0x477f;  // 65280
  std::memcpy(tensor.block(0, 1), &large, 2);
  const Packed packed(tensor.view);
  CHECK_EQ(packed.matrix.weight_class, static_cast<int>(AIR_WEIGHT_F16));
  float out[3];
  air_test::unpack_row(packed.matrix, 0, out);
  CHECK_EQ(out[1], 65280.0f);
}

TEST(pack_tiles_refuses_tiles_outside_the_matrix_and_matrices_of_other_tensors) {
  const OwnedTensor tensor = air_test::random_tensor(TensorType::kQ8_0, 20, 64, 89);
  Packed packed(tensor.view);
  const auto code = [&](const AirMatrix& matrix, int64_t begin, int64_t end) {
    return air::pack_tiles(tensor.view, {}, matrix, packed.data, begin, end, &packed.error).code();
  };
  CHECK(code(packed.matrix, 1, 1) == StatusCode::kOk);
  CHECK(code(packed.matrix, -1, 1) == StatusCode::kArgument);
  CHECK(code(packed.matrix, 0, 3) == StatusCode::kArgument);
  CHECK(code(packed.matrix, 2, 1) == StatusCode::kArgument);
  AirMatrix other = packed.matrix;
  other.rows = 36;
  CHECK(code(other, 0, 1) == StatusCode::kArgument);
  other = packed.matrix;
  other.weight_class = AIR_WEIGHT_F16;
  CHECK(code(other, 0, 1) == StatusCode::kArgument);
}
