// air_step_norm against the reference kernel.
#include <cmath>
#include <string>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/half.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/kernel_cases.h"

using air::cuda::LaunchShape;
using air::cuda::NormParams;
using air_test::DeviceArray;

namespace {

constexpr uint16_t kUntouched = 0xffff;  // what arrays hold before they are written
constexpr float kEpsilon = 1e-5f;

struct Norm {
  std::vector<float> x;       // [rows, cols]
  std::vector<float> weight;  // [cols]
  int32_t cols;
  int32_t y_stride;
};

Norm make_norm(int32_t rows, int32_t cols, float scale) {
  air_test::Random random(static_cast<uint64_t>(cols));
  Norm norm = {air_test::random_floats(random, int64_t{rows} * cols), air_test::random_floats(random, cols),
               cols, cols + 5};
  for (float& value : norm.x) value *= scale;
  return norm;
}

// Launches for `most` rows, of which `rows` exist. [most, y_stride]; unrounded: [most, cols]
std::vector<uint16_t> run(const Norm& norm, int32_t rows, int32_t most, air::emulator::Order order,
                          std::vector<float>* unrounded = nullptr) {
  DeviceArray<float> x("x", norm.x);
  DeviceArray<float> weight("weight", norm.weight);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{rows});
  DeviceArray<uint16_t> y("y", static_cast<size_t>(most) * static_cast<size_t>(norm.y_stride));
  DeviceArray<float> wide("wide", static_cast<size_t>(most) * static_cast<size_t>(norm.cols));
  const NormParams p = {
      x.data(), weight.data(), row_count.data(), y.data(), unrounded == nullptr ? nullptr : wide.data(),
      kEpsilon, norm.cols,     norm.y_stride};
  LaunchShape shape;
  shape.grid_x = static_cast<uint32_t>(most);
  shape.threads = 256;
  shape.shared_bytes = 8 * sizeof(float);
  air_test::check_launch(LAUNCH_IN_ORDER(order, air_step_norm, shape, p), __FILE__, __LINE__);
  if (unrounded != nullptr) *unrounded = wide.download();
  return y.download();
}

}  // namespace

// Off by the rounding to binary16 (2^-11, or 2^-25 among subnormals), and by the other order of the sum of squares:
// 1e-6 of the mean, half of that after the root.
TEST(rows_are_normalised_as_the_reference_does) {
  for (const int32_t cols : {1, 31, 64, 255, 257, 896, 2048}) {
    const Norm norm = make_norm(3, cols, cols == 255 ? 1e-12f : 3.0f);
    const std::vector<uint16_t> y = run(norm, 3, 3, air::emulator::Order::kForward);
    std::vector<float> expected(static_cast<size_t>(cols));
    for (int32_t row = 0; row < 3; ++row) {
      air_kernels_reference()->rms_norm(norm.x.data() + row * cols, norm.weight.data(), kEpsilon, cols,
                                        expected.data());
      for (int32_t k = 0; k < norm.y_stride; ++k) {
        const uint16_t bits = y[static_cast<size_t>(row * norm.y_stride + k)];
        if (k >= cols) {
          CHECK_EQ(bits, kUntouched);
          continue;
        }
        const float want = expected[static_cast<size_t>(k)];
        const float error = std::fabs(air::half_to_float(bits) - want);
        CHECK_MSG(error <= std::fabs(want) * 0x1.01p-11f + 0x1p-25f,
                  "cols=" + std::to_string(cols) + " row=" + std::to_string(row) + " k=" + std::to_string(k));
      }
    }
  }
}

TEST(unrounded_rows_are_what_was_rounded) {
  const Norm norm = make_norm(3, 70, 2.0f);
  std::vector<float> wide;
  const std::vector<uint16_t> y = run(norm, 2, 3, air::emulator::Order::kForward, &wide);
  int rounded = 0;
  for (size_t i = 0; i < 2 * 70; ++i) {
    CHECK_EQ(air::float_to_half(wide[i]), y[i / 70 * 75 + i % 70]);
    rounded += air::half_to_float(air::float_to_half(wide[i])) != wide[i] ? 1 : 0;
  }
  CHECK(rounded > 100);
}

TEST(a_row_does_not_depend_on_the_others_nor_on_the_order_of_threads) {
  const Norm norm = make_norm(4, 300, 1.0f);
  const std::vector<uint16_t> together = run(norm, 4, 8, air::emulator::Order::kShuffled);
  Norm alone = norm;
  alone.x.assign(norm.x.begin() + 2 * 300, norm.x.begin() + 3 * 300);
  const std::vector<uint16_t> single = run(alone, 1, 1, air::emulator::Order::kBackward);
  for (size_t k = 0; k < 300; ++k) CHECK_EQ(together[2 * 305 + k], single[k]);
  // Rows past the count are left alone.
  for (size_t i = 4 * 305; i < together.size(); ++i) CHECK_EQ(together[i], kUntouched);
}

TEST(what_binary16_cannot_hold_saturates_and_a_nan_stays) {
  Norm norm = make_norm(2, 64, 1.0f);
  for (float& value : norm.weight) value = 1e6f;
  norm.x[3] = -norm.x[3];
  norm.x[64 + 7] = std::nanf("");
  const std::vector<uint16_t> y = run(norm, 2, 2, air::emulator::Order::kForward);
  for (size_t k = 0; k < 64; ++k) {
    const float value = air::half_to_float(y[k]);
    CHECK(std::fabs(value) == 65504.0f || std::fabs(norm.x[k]) < 0.05f);
    CHECK((value < 0) == (norm.x[k] < 0));
    CHECK(std::isnan(air::half_to_float(y[69 + k])));
  }
}
