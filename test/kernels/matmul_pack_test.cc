// Packing for the device: every weight is read back from where kernels/cuda/matmul_params.h says that the matrix
// instruction wants it, by this file's own words for that, and compared with the CPU's.
#include <set>

#include "native/core/half.h"
#include "test/kernels/support/matmul_case.h"
#include "test/native/check.h"

namespace {

using namespace air_test;
using air::cuda::Arrangement;
using air::cuda::DeviceMatrix;
using air::cuda::WeightFormat;

// Element (row, column) of the A operand of mma.m16n8k16, as the manual of PTX numbers lanes and registers.
struct Operand {
  int lane, reg, upper;
};
Operand operand_of(int row, int column) {
  const int reg = (row >= 8 ? 1 : 0) + (column >= 8 ? 2 : 0);
  return {row % 8 * 4 + column % 8 / 2, reg, column % 2};
}

// Which column of which step of its half the weight of k (0..31) is: lanes t = 0..3 hold the columns 2 t, 2 t + 1,
// 2 t + 8, 2 t + 9 of a step, in this order, and their k are neighbours.
struct Column {
  int step, column;
};
Column column_of(WeightFormat format, int k) {
  const int t = format == WeightFormat::kInt8Group16 ? k / 4 % 4 : k / 8;
  const int step = format == WeightFormat::kInt8Group16 ? k / 16 : k / 4 % 2;
  const int order[] = {0, 1, 8, 9};
  return {step, 2 * t + order[k % 4]};
}

uint16_t half_at(const uint8_t* bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }

// Weight k of row `row` of a tile.
double read_weight(WeightFormat format, const uint8_t* tile, int row, int64_t k) {
  const uint8_t* chunk = tile + k / 64 * air::cuda::chunk_bytes(format);
  const int half = static_cast<int>(k / 32 % 2);
  const Column column = column_of(format, static_cast<int>(k % 32));
  const Operand at = operand_of(row, column.column);
  if (format == WeightFormat::kF16) {
    const int block = half * 2 + column.step;
    return double(
        air::half_to_float(half_at(chunk + block * 512 + at.lane * 16 + at.reg * 4 + at.upper * 2)));
  }
  const bool is_int4 = format == WeightFormat::kInt4 || format == WeightFormat::kInt4Min;
  const bool has_min = format == WeightFormat::kInt4Min || format == WeightFormat::kInt8Min;
  int q = 0;
  if (is_int4) {
    uint32_t word = 0;
    for (int i = 3; i >= 0; --i) word = word << 8 | chunk[half * 256 + at.lane * 8 + column.step * 4 + i];
    // A register is a pair of nibbles 16 bits apart.
    q = static_cast<int>(word >> (4 * at.reg + 16 * at.upper) & 15) - (has_min ? 0 : 8);
  } else {
    q = chunk[half * 512 + at.lane * 16 + column.step * 8 + at.reg * 2 + at.upper] - 128;
  }
  const uint8_t* records = chunk + (is_int4 ? 512 : 1024);
  const bool group16 = format == WeightFormat::kInt8Group16;
  const uint8_t* record = records + (half * 8 + row % 8) * (group16 || has_min ? 8 : 4);
  const int index = group16 ? row / 8 * 2 + column.step : row / 8;
  const double scale = double(air::half_to_float(half_at(record + 2 * index)));
  const double min = has_min ? double(air::half_to_float(half_at(record + 4 + row / 8 * 2))) : 0.0;
  return scale * q + min;
}

// Packed row of a source's row: tile and row in it.
std::pair<int64_t, int> place(const DeviceMatrix& matrix, int source, int64_t row) {
  if (matrix.arrangement == Arrangement::kPaired) {
    return {row / 8, static_cast<int>(row % 8) + 8 * source};
  }
  return {matrix.sources[static_cast<size_t>(source)].first_tile + row / 16, static_cast<int>(row % 16)};
}

void check_weights(const TestWeights& weights, const std::string& what) {
  const DeviceMatrix& matrix = weights.matrix();
  for (int source = 0; source < static_cast<int>(matrix.sources.size()); ++source) {
    for (int64_t row = 0; row < matrix.sources[static_cast<size_t>(source)].rows; ++row) {
      const auto [tile, tile_row] = place(matrix, source, row);
      for (int64_t k = 0; k < weights.cols(); ++k) {
        const uint8_t* bytes = weights.bytes().data() + tile * matrix.tile_stride;
        const double received = read_weight(matrix.format, bytes, tile_row, k);
        // The CPU's value is rounded to float32.
        const bool same = static_cast<float>(received) == static_cast<float>(weights.weight(source, row, k));
        if (!same) CHECK_MSG(false, what + ": row " + std::to_string(row) + ", k " + std::to_string(k));
        if (!same) return;
      }
    }
  }
}

TEST(every_weight_is_where_the_matrix_instruction_reads_it) {
  for (const TensorType type : kTypeOfFormat) {
    if (type == TensorType::kF32) continue;
    const int64_t block = air::tensor_type_info(type).block_values;
    for (const int64_t cols : {block == 1 ? 33 : block, block == 256 ? 512 : int64_t{160}}) {
      const std::string name = air::tensor_type_info(type).name;
      check_weights(TestWeights(type, {37}, cols), name);
      check_weights(TestWeights(type, {16, 5, 33}, cols), name + " stacked");
      check_weights(TestWeights(type, {29, 29}, cols, Arrangement::kPaired), name + " paired");
    }
  }
}

TEST(columns_and_rows_of_padding_are_zero_weights) {
  const TestWeights weights(TensorType::kQ4_1, {5}, 32);  // half a chunk, a third of a tile
  for (int row = 0; row < 16; ++row) {
    for (int64_t k = row < 5 ? 32 : 0; k < 64; ++k) {
      CHECK_EQ(read_weight(WeightFormat::kInt4Min, weights.bytes().data(), row, k), 0.0);
    }
  }
}

TEST(parts_of_a_matrix_are_packed_as_the_whole) {
  const TestWeights weights(TensorType::kQ6K, {48, 20}, 256);
  const DeviceMatrix& matrix = weights.matrix();
  for (int64_t tile = 0; tile < matrix.tiles; ++tile) {
    std::vector<uint8_t> part(static_cast<size_t>(matrix.tile_stride), 0x5a);
    pack_device_tiles(matrix, weights.sources().data(), tile, tile + 1, part.data());
    CHECK(std::equal(part.begin(), part.end(), weights.bytes().begin() + tile * matrix.tile_stride));
  }
}

TEST(matrices_that_cannot_share_a_launch_are_refused) {
  const TestWeights four(TensorType::kQ4_0, {32}, 64);
  const TestWeights eight(TensorType::kQ8_0, {32}, 64);
  const TestWeights narrow(TensorType::kQ4_0, {32}, 32);
  const TestWeights longer(TensorType::kQ4_0, {33}, 64);
  const TestWeights floats(TensorType::kF32, {32}, 64);
  DeviceMatrix matrix;
  const auto code_of = [&](std::vector<const AirMatrix*> sources, Arrangement arrangement) {
    return plan_device_matrix(sources.data(), static_cast<int>(sources.size()), arrangement, &matrix).code();
  };
  const AirMatrix* a = four.sources()[0];
  CHECK(code_of({}, Arrangement::kStacked) == air::StatusCode::kArgument);
  CHECK(code_of({a, eight.sources()[0]}, Arrangement::kStacked) == air::StatusCode::kArgument);
  CHECK(code_of({a, narrow.sources()[0]}, Arrangement::kStacked) == air::StatusCode::kArgument);
  CHECK(code_of({a, longer.sources()[0]}, Arrangement::kStacked) == air::StatusCode::kOk);
  CHECK(code_of({a, longer.sources()[0]}, Arrangement::kPaired) == air::StatusCode::kArgument);
  CHECK(code_of({a}, Arrangement::kPaired) == air::StatusCode::kArgument);
  CHECK(code_of({floats.sources()[0], floats.sources()[0]}, Arrangement::kPaired) ==
        air::StatusCode::kArgument);
  AirMatrix pairs = *a;
  pairs.layout = AIR_LAYOUT_PAIRS;
  CHECK(code_of({&pairs}, Arrangement::kStacked) == air::StatusCode::kUnsupported);
  AirMatrix huge = *a;
  huge.rows = int64_t{1} << 40;
  CHECK(code_of({&huge}, Arrangement::kStacked) == air::StatusCode::kUnsupported);
}

TEST(biases_follow_the_packed_rows) {
  const TestWeights stacked(TensorType::kQ4_0, {20, 3}, 32);
  std::vector<float> first(20, 1.0f);
  const std::vector<float> second = {2.0f, 3.0f, 4.0f};
  const std::vector<float> none;
  const std::vector<float>* both[] = {&first, &second};
  std::vector<float> expected(48, 0.0f);
  std::fill_n(expected.begin(), 20, 1.0f);
  std::copy(second.begin(), second.end(), expected.begin() + 32);
  CHECK(arrange_bias(stacked.matrix(), both) == expected);
  const std::vector<float>* neither[] = {&none, &none};
  CHECK(arrange_bias(stacked.matrix(), neither).empty());

  const TestWeights paired(TensorType::kQ4_0, {10, 10}, 32, Arrangement::kPaired);
  std::vector<float> up(10);
  for (size_t i = 0; i < up.size(); ++i) up[i] = static_cast<float>(i + 1);
  const std::vector<float>* one[] = {&none, &up};
  const std::vector<float> arranged = arrange_bias(paired.matrix(), one);
  CHECK_EQ(arranged.size(), size_t{32});
  CHECK_EQ(arranged[0], 0.0f);
  CHECK_EQ(arranged[8], 1.0f);
  CHECK_EQ(arranged[25], 10.0f);
}

}  // namespace
