// Packing a part of a matrix: the same bytes of weights as in the whole one, and nothing of the rest.
#include "native/core/weights/selection.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "native/core/aligned_buffer.h"
#include "native/core/weights/column_squares.h"
#include "native/core/weights/pack.h"
#include "test/native/check.h"
#include "test/native/support/random_tensor.h"
#include "test/native/support/unpack.h"

namespace {

using air::ConversionError;
using air::MatrixSelection;
using air::Status;
using air::StatusCode;
using air_test::OwnedTensor;
using air_test::TensorType;

struct Packed {
  AirMatrix matrix{};
  air::AlignedBuffer memory;
  int64_t bytes = 0;
  ConversionError error;
  Status status;

  explicit Packed(const air::Tensor& tensor, const MatrixSelection& selection = {},
                  AirLayout layout = AIR_LAYOUT_QUADS) {
    status = air::plan_matrix(tensor, selection, layout, &matrix, &bytes);
    if (status.ok()) status = memory.allocate(bytes, "test");
    if (!status.ok()) return;
    matrix.data = memory.data();
    const int64_t tiles = air::tiles_of(matrix.rows);
    status = air::pack_tiles(tensor, selection, matrix, memory.data(), 0, tiles, &error);
  }

  std::vector<float> row(int64_t index) const {
    std::vector<float> values(static_cast<size_t>(matrix.cols));
    air_test::unpack_row(matrix, index, values.data());
    return values;
  }
};

std::string name_of(TensorType type) { return air::tensor_type_info(type).name; }

// 20 of 40 rows: two tiles, the second ragged.
std::vector<int64_t> some_rows() {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < 20; ++row) rows.push_back(row < 10 ? 3 * row : row + 20);
  return rows;
}

// Groups of two blocks of 256, neighbours and single ones.
const std::vector<int64_t> kSomeGroups = {0, 3, 4, 5, 8, 15};

OwnedTensor tensor_of(TensorType type) { return air_test::random_tensor(type, 40, 512, 31); }

// Values of the packed part that differ in any bit from those of the whole matrix.
int different_values(const Packed& part, const MatrixSelection& selection, const Packed& whole) {
  int different = 0;
  for (int64_t r = 0; r < part.matrix.rows; ++r) {
    const std::vector<float> values = part.row(r);
    const std::vector<float> all = whole.row(selection.row(r));
    for (size_t k = 0; k < values.size(); ++k) {
      const size_t group = k / AIR_GROUP;
      const auto from = selection.column_groups.empty() ? group
                                                        : static_cast<size_t>(selection.column_groups[group]);
      different += std::memcmp(&values[k], &all[from * AIR_GROUP + k % AIR_GROUP], sizeof(float)) != 0;
    }
  }
  return different;
}

}  // namespace

TEST(a_selection_packs_the_weights_of_the_whole_matrix_densely) {
  const MatrixSelection selections[] = {{some_rows(), {}}, {{}, kSomeGroups}, {some_rows(), kSomeGroups}};
  for (const AirLayout layout : {AIR_LAYOUT_QUADS, AIR_LAYOUT_PAIRS}) {
    for (const TensorType type : air_test::kAllTypes) {
      const OwnedTensor tensor = tensor_of(type);
      const Packed whole(tensor.view, {}, layout);
      for (const MatrixSelection& selection : selections) {
        const Packed part(tensor.view, selection, layout);
        CHECK_MSG(part.status.ok(), part.status.message());
        CHECK_EQ(part.matrix.rows, selection.rows.empty() ? 40 : 20);
        CHECK_EQ(part.matrix.cols, selection.column_groups.empty() ? 512 : 6 * 32);
        CHECK_EQ(part.matrix.weight_class, whole.matrix.weight_class);
        const int64_t tiles = selection.rows.empty() ? 3 : 2;
        const int64_t cols = selection.column_groups.empty() ? 16 : 6;
        CHECK_EQ(part.bytes * 3 * 16, whole.bytes * tiles * cols);  // sections here are whole cache lines
        CHECK_MSG(different_values(part, selection, whole) == 0, name_of(type));
      }
    }
  }
}

TEST(the_last_group_of_columns_may_be_short) {
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBf16}) {
    const OwnedTensor tensor = air_test::random_tensor(type, 5, 70, 3);
    const Packed whole(tensor.view);
    for (const MatrixSelection& selection : {MatrixSelection{{}, {0, 2}}, MatrixSelection{{4}, {2}}}) {
      const Packed part(tensor.view, selection);
      CHECK_MSG(part.status.ok(), part.status.message());
      CHECK_EQ(part.matrix.cols, selection.column_groups.size() == 2 ? 38 : 6);
      CHECK_EQ(different_values(part, selection, whole), 0);
    }
  }
}

TEST(conversion_errors_are_measured_over_what_is_packed) {
  const MatrixSelection kept{{}, {0, 3, 4, 5, 8, 15}};
  const MatrixSelection left_out{{}, {1, 2, 6, 7, 9, 10, 11, 12, 13, 14}};
  for (const TensorType type : {TensorType::kQ4K, TensorType::kQ6K, TensorType::kBf16}) {
    const OwnedTensor tensor = tensor_of(type);
    const ConversionError whole = Packed(tensor.view).error;
    const ConversionError a = Packed(tensor.view, kept).error;
    const ConversionError b = Packed(tensor.view, left_out).error;
    CHECK_MSG(a.squared_weight > 0 && a.squared_weight < whole.squared_weight, name_of(type));
    CHECK(std::fabs(a.squared_weight + b.squared_weight - whole.squared_weight) <=
          1e-12 * whole.squared_weight);
    CHECK(std::fabs(a.squared_error + b.squared_error - whole.squared_error) <= 1e-12 * whole.squared_error);
    CHECK_EQ(std::max(a.max_abs_error, b.max_abs_error), whole.max_abs_error);
  }
}

TEST(only_what_is_packed_must_be_finite_and_messages_count_the_files_rows) {
  OwnedTensor tensor = tensor_of(TensorType::kQ8_0);
  const uint16_t infinity = 0x7c00;
  std::memcpy(tensor.block(7, 2), &infinity, sizeof(infinity));
  CHECK(Packed(tensor.view, {{6, 8}, {}}).status.ok());
  CHECK(Packed(tensor.view, {{}, {0, 1, 3}}).status.ok());
  const Status status = Packed(tensor.view, {{6, 7}, {}}).status;
  CHECK(status.code() == StatusCode::kModelFormat);
  CHECK_MSG(status.message().find("in row 7") != std::string::npos, status.message());
}

TEST(a_selection_must_ascend_within_the_tensor) {
  const OwnedTensor tensor = tensor_of(TensorType::kQ4_0);
  const MatrixSelection bad[] = {{{40}, {}}, {{-1}, {}}, {{1, 1}, {}}, {{2, 1}, {}}, {{}, {16}}, {{}, {3, 2}}};
  for (const MatrixSelection& selection : bad) {
    CHECK(Packed(tensor.view, selection).status.code() == StatusCode::kArgument);
  }
  // A matrix that was planned for another selection.
  Packed other(tensor.view, {{0, 1}, {}});
  ConversionError error;
  CHECK(air::pack_tiles(tensor.view, {}, other.matrix, other.memory.data(), 0, 1, &error).code() ==
        StatusCode::kArgument);
}

TEST(column_squares_sums_the_files_own_values_of_every_type) {
  for (const TensorType type : air_test::kAllTypes) {
    const OwnedTensor tensor = tensor_of(type);
    std::vector<double> expected(512, 0.0);  // first: releasing pages that no file backs clears them
    for (int64_t row = 0; row < 40; ++row) {
      for (int64_t col = 0; col < 512; ++col) {
        const double value = air_test::exact_weight(tensor.view, row, col).value();
        expected[static_cast<size_t>(col)] += value * value;
      }
    }
    const std::vector<double> squares = air::column_squares(tensor.view);
    CHECK_EQ(squares.size(), expected.size());
    for (size_t col = 0; col < expected.size(); ++col) {
      CHECK_MSG(std::fabs(squares[col] - expected[col]) <= 1e-6 * expected[col], name_of(type));
    }
  }
}
