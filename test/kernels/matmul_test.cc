// The matmul kernels of every format against double precision, and against each other bit for bit.
#include <cmath>
#include <cstring>

#include "test/kernels/support/matmul_case.h"
#include "test/native/check.h"
#include "test/native/kernel_cases.h"

namespace {

using namespace air_test;
using air::cuda::Arrangement;
using air::cuda::MatmulKernel;
using air::cuda::MatmulStore;
using air::cuda::WeightFormat;

constexpr MatmulKernel kTileKernels[] = {MatmulKernel::kDecode1x1, MatmulKernel::kDecode2x1,
                                         MatmulKernel::kDecode4x1, MatmulKernel::kDecode2x2,
                                         MatmulKernel::kDecode2x4, MatmulKernel::kPrefill};

// Operands are exact and products have 22 bits; every sum that the kernels round or cut off is below the sum of the
// magnitudes, and there are fewer than 40 one after the other here: 40 * 2^-23.
constexpr double kTolerance = 5e-6;

struct Expected {
  double value = 0, magnitude = 0;
};

Expected expected_sum(const TestWeights& weights, const TestActivations& x, int source, int64_t row,
                      int64_t output) {
  Expected expected;
  for (int64_t k = 0; k < weights.cols(); ++k) {
    const double x_k = x.values[static_cast<size_t>(row * x.cols + k)];
    expected.value += weights.weight(source, output, k) * x_k;
    expected.magnitude += weights.magnitude(source, output, k) * std::fabs(x_k);
  }
  return expected;
}

// Columns of y that belong to a source's outputs, everything else must be untouched or, between sources, zero.
void check_against_double(const TestWeights& weights, const TestActivations& x, const MatmulRun& run,
                          const std::vector<float>& y) {
  const air::cuda::DeviceMatrix& matrix = weights.matrix();
  const int64_t stride = matrix.outputs + kGuardColumns;
  double worst = 0;
  for (int64_t row = 0; row < run.rows; ++row) {
    for (int source = 0; source < static_cast<int>(matrix.sources.size()); ++source) {
      const air::cuda::DeviceMatrix::Source& part = matrix.sources[static_cast<size_t>(source)];
      for (int64_t output = 0; output < part.rows; ++output) {
        const int64_t column = int64_t{part.first_tile} * 16 + output;
        Expected expected = expected_sum(weights, x, source, row, output);
        if (run.store == MatmulStore::kAdd) expected.value += double(kBeforeLaunch);
        if (!run.bias.empty()) expected.value += double(run.bias[static_cast<size_t>(column)]);
        const double error =
            std::fabs(double(y[static_cast<size_t>(row * stride + column)]) - expected.value);
        worst = std::fmax(worst, error / (expected.magnitude + 4));
      }
    }
  }
  CHECK_MSG(worst <= kTolerance, describe(weights, run) + ": error " + std::to_string(worst));
}

void check_guards(const TestWeights& weights, const MatmulRun& run, const std::vector<float>& y) {
  const int64_t stride = weights.matrix().outputs + kGuardColumns;
  const int64_t rows = static_cast<int64_t>(y.size()) / stride;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = row < run.rows ? weights.matrix().outputs : 0; column < stride; ++column) {
      CHECK_MSG(y[static_cast<size_t>(row * stride + column)] == kBeforeLaunch,
                describe(weights, run) + ": guard");
    }
  }
}

void run_and_check(const TestWeights& weights, const TestActivations& x, const MatmulRun& run) {
  const std::vector<float> y = multiply(weights, x, run);
  check_against_double(weights, x, run, y);
  check_guards(weights, run, y);
}

std::vector<float> random_bias(const TestWeights& weights) {
  Random random(19);
  return random_floats(random, int64_t{weights.matrix().tiles} * 16);
}

// Columns that are no multiple of a chunk, fewer and more chunks than slices; rows that end within a tile.
struct Shape {
  int64_t rows, cols;
};

TEST(every_kernel_of_every_format_agrees_with_double_precision) {
  for (const TensorType type : kTypeOfFormat) {
    const int64_t block = air::tensor_type_info(type).block_values;
    if (type == TensorType::kF32) continue;
    for (const Shape& shape : {Shape{37, block == 1 ? 33 : block}, Shape{21, block == 256 ? 1280 : 1120}}) {
      const TestWeights weights(type, {shape.rows}, shape.cols);
      const TestActivations x(11, shape.cols);
      for (const MatmulKernel kernel : kTileKernels) {
        MatmulRun run;
        run.kernel = kernel;
        run.rows = kernel == MatmulKernel::kDecode1x1 ? 3 : 11;
        run.store = MatmulStore::kAdd;
        run.bias = random_bias(weights);
        run_and_check(weights, x, run);
      }
    }
  }
}

TEST(float32_weights_are_multiplied_as_the_reference_does) {
  for (const Shape& shape : {Shape{16, 1}, Shape{37, 33}, Shape{100, 160}}) {
    const TestWeights weights(TensorType::kF32, {shape.rows}, shape.cols);
    const TestActivations x(11, shape.cols);
    MatmulRun run;
    run.kernel = MatmulKernel::kFloat32;
    run.rows = 11;
    const std::vector<float> y = multiply(weights, x, run);
    check_guards(weights, run, y);
    const Activations rows(std::vector<float>(x.values.begin(), x.values.end()), 11, shape.cols);
    std::vector<float> expected(y.size(), kBeforeLaunch);
    const AirMatmulArgs args = {weights.sources()[0],
                                &rows.view,
                                expected.data(),
                                shape.rows + kGuardColumns,
                                0,
                                (shape.rows + 15) / 16,
                                0,
                                11,
                                AIR_STORE_SET};
    air_kernels_reference()->matmul[AIR_WEIGHT_F32](&args);
    CHECK_MSG(same_bits(y, expected), describe(weights, run));
    run.store = MatmulStore::kAdd;
    run.bias = random_bias(weights);
    run_and_check(weights, x, run);
  }
}

// Row 0 alone, by the smallest kernel, is what row 0 must be in every other launch.
TEST(a_row_has_the_same_bits_whatever_kernel_rows_and_stages) {
  for (const TensorType type : kTypeOfFormat) {
    if (type == TensorType::kF32) continue;
    const int64_t cols = air::tensor_type_info(type).block_values == 256 ? 1280 : 1088;
    const TestWeights weights(type, {40}, cols);
    const TestActivations x(70, cols);
    const int64_t stride = weights.matrix().outputs + kGuardColumns;
    MatmulRun whole;
    whole.kernel = MatmulKernel::kPrefill;
    whole.rows = 70;
    const std::vector<float> all = multiply(weights, x, whole);
    for (const MatmulKernel kernel : kTileKernels) {
      for (const int64_t rows : {1, 8, 13}) {
        MatmulRun run;
        run.kernel = kernel;
        run.rows = rows;
        run.stages = rows == 1 ? 3 : rows == 8 ? 4 : 0;
        run.order = rows == 13 ? air::emulator::Order::kShuffled : air::emulator::Order::kBackward;
        const std::vector<float> y = multiply(weights, x, run);
        for (int64_t row = 0; row < rows; ++row) {
          const bool same = std::memcmp(y.data() + row * stride, all.data() + row * stride,
                                        static_cast<size_t>(weights.matrix().outputs) * sizeof(float)) == 0;
          CHECK_MSG(same, describe(weights, run) + ": row " + std::to_string(row));
        }
      }
    }
  }
}

TEST(rows_beyond_the_count_on_the_device_are_not_written) {
  const TestWeights weights(TensorType::kQ4_0, {37}, 224);
  const TestActivations x(80, 224);
  for (const MatmulKernel kernel : kTileKernels) {
    for (const int64_t rows : {0, 1, 9, 65}) {
      MatmulRun run;
      run.kernel = kernel;
      run.rows = rows;
      run.grid_rows = 80;
      run_and_check(weights, x, run);
    }
  }
  const TestWeights floats(TensorType::kF32, {37}, 224);
  MatmulRun run;
  run.kernel = MatmulKernel::kFloat32;
  run.rows = 9;
  run.grid_rows = 24;
  run_and_check(floats, x, run);
}

TEST(stacked_matrices_are_computed_as_if_alone) {
  const TestWeights weights(TensorType::kQ4_1, {48, 20, 17}, 96);
  const TestActivations x(9, 96);
  for (const MatmulKernel kernel : {MatmulKernel::kDecode2x1, MatmulKernel::kPrefill}) {
    MatmulRun run;
    run.kernel = kernel;
    run.rows = 9;
    run_and_check(weights, x, run);
  }
  CHECK_EQ(weights.matrix().sources[2].first_tile, 5);
  CHECK_EQ(weights.matrix().outputs, 97);
}

// float16 rounds to 11 bits; the sums before it are as exact as kTolerance says, and silu has a slope below 1.1.
TEST(paired_matrices_give_the_hidden_row) {
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4K, TensorType::kF16}) {
    const TestWeights weights(type, {37, 37}, 256, Arrangement::kPaired);
    const TestActivations x(11, 256);
    const std::vector<float> bias = random_bias(weights);
    for (const MatmulKernel kernel : kTileKernels) {
      MatmulRun run;
      run.kernel = kernel;
      run.rows = 11;
      run.store = MatmulStore::kSwiglu;
      run.bias = bias;
      const std::vector<float> hidden = multiply(weights, x, run);
      check_guards(weights, run, hidden);
      for (int64_t row = 0; row < run.rows; ++row) {
        for (int64_t column = 0; column < 37; ++column) {
          Expected gate = expected_sum(weights, x, 0, row, column);
          Expected up = expected_sum(weights, x, 1, row, column);
          gate.value += double(bias[static_cast<size_t>(column / 8 * 16 + column % 8)]);
          up.value += double(bias[static_cast<size_t>(column / 8 * 16 + column % 8 + 8)]);
          const double silu = gate.value / (1 + std::exp(-gate.value));
          const double expected = std::fmax(-65504, std::fmin(65504, silu * up.value));
          const double tolerance = std::fabs(expected) * 0x1p-10 + 0x1p-24 +
                                   kTolerance * (1.1 * (gate.magnitude + 4) * (std::fabs(up.value) + 1) +
                                                 (up.magnitude + 4) * (std::fabs(silu) + 1));
          const double actual = double(hidden[static_cast<size_t>(row * (37 + kGuardColumns) + column)]);
          CHECK_MSG(
              std::fabs(actual - expected) <= tolerance,
              describe(weights, run) + ": " + std::to_string(actual) + " for " + std::to_string(expected));
        }
      }
    }
  }
}

}  // namespace
