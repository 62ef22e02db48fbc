// air_step_activate against the reference kernel: the same roundings, then one to binary16.
#include <cmath>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/half.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/kernel_cases.h"

using air::cuda::ActivateParams;
using air_test::DeviceArray;

namespace {

constexpr int32_t kRows = 3, kMost = 4, kCols = 300, kStride = 310, kOutStride = 304;
constexpr uint16_t kUntouched = 0xffff;

uint16_t saturated(float value) {
  if (std::isnan(value)) return 0x7fff;
  return air::float_to_half(std::fmin(std::fmax(value, -65504.0f), 65504.0f));
}

}  // namespace

TEST(gated_values_are_those_of_the_reference) {
  air_test::Random random(4);
  std::vector<float> gate = air_test::random_floats(random, kRows * kStride);
  std::vector<float> up = air_test::random_floats(random, kRows * kStride);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] *= i % 3 == 0 ? 100.0f : 6.0f;
  up[1] = 1e9f;
  gate[1] = 5.0f;
  up[2] = -1e9f;
  gate[2] = 5.0f;
  gate[3] = std::nanf("");
  gate[4] = INFINITY;
  gate[5] = -INFINITY;
  DeviceArray<float> device_gate("gate", gate);
  DeviceArray<float> device_up("up", up);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{kRows});
  DeviceArray<uint16_t> y("y", static_cast<size_t>(kMost) * kOutStride);
  const ActivateParams p = {device_gate.data(), device_up.data(), row_count.data(), y.data(), kCols, kStride,
                            kOutStride};
  air::cuda::LaunchShape shape;
  shape.grid_x = kMost;
  shape.grid_y = (kCols + 255) / 256;
  shape.threads = 256;
  CHECK_LAUNCH(air_step_activate, shape, p);
  const std::vector<uint16_t> out = y.download();
  std::vector<float> expected(kCols);
  for (int32_t row = 0; row < kMost; ++row) {
    if (row < kRows) {
      air_kernels_reference()->silu_mul(gate.data() + row * kStride, up.data() + row * kStride, kCols,
                                        expected.data());
    }
    for (int32_t k = 0; k < kOutStride; ++k) {
      const bool is_written = row < kRows && k < kCols;
      CHECK_EQ(out[static_cast<size_t>(row * kOutStride + k)],
               is_written ? saturated(expected[static_cast<size_t>(k)]) : kUntouched);
    }
  }
}
