// The kernels of a step's rows: gathered, their peaks, and drafted tokens.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "native/core/row_ops.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/check.h"

using air::cuda::LaunchShape;
using air_test::DeviceArray;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_rows(size_t count, float deviation = 4.0f, uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> rows(count);
  for (float& value : rows) value = normal(random);
  return rows;
}

struct Peaks {
  std::vector<int32_t> tokens;
  std::vector<float> probabilities;
};

Peaks peaks(const std::vector<float>& rows, int32_t cols, uint32_t threads = 256) {
  const auto count = static_cast<int32_t>(rows.size()) / cols;
  DeviceArray<float> logits("logits", rows);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{count});
  DeviceArray<int32_t> tokens("tokens", static_cast<size_t>(count));
  DeviceArray<float> probabilities("probabilities", static_cast<size_t>(count));
  const air::cuda::PeakParams p = {logits.data(), row_count.data(), tokens.data(), probabilities.data(),
                                   cols};
  LaunchShape shape;
  shape.grid_x = static_cast<uint32_t>(count) + 1;
  shape.threads = threads;
  shape.shared_bytes = threads * 16;
  CHECK_LAUNCH(air_step_peak, shape, p);
  return {tokens.download(), probabilities.download()};
}

}  // namespace

TEST(peaks_are_those_of_the_host) {
  for (const uint32_t threads : {256U, 1024U}) {
    for (const int32_t cols : {1, 200, 3000}) {
      const auto width = static_cast<size_t>(cols);
      std::vector<float> rows = random_rows(3 * width);
      if (cols > 1) rows[width + 7] = kNan;
      for (size_t i = 2 * width; i < 3 * width; ++i) rows[i] = std::rint(rows[i]);
      const Peaks actual = peaks(rows, cols, threads);
      for (size_t row = 0; row < 3; ++row) {
        const float* logits = rows.data() + row * width;
        const int32_t best = air::argmax_row(logits, cols);
        CHECK_EQ(actual.tokens[row], best);
        if (best < 0) continue;
        const float expected = air::peak_probability(logits, cols, best);
        CHECK(std::fabs(actual.probabilities[row] - expected) <= 1e-5f * expected);
      }
    }
  }
}

TEST(rows_are_gathered_with_a_bias) {
  const std::vector<float> from = random_rows(5 * 300);
  const std::vector<float> bias = random_rows(300);
  DeviceArray<float> device_from("from", from);
  DeviceArray<float> device_bias("bias", bias);
  DeviceArray<int32_t> rows("rows", std::vector<int32_t>{4, 0, 2, -99});
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{3});
  DeviceArray<float> to("to", 4 * 300);
  LaunchShape shape;
  shape.grid_x = 4;
  shape.threads = 256;
  const air::cuda::GatherParams p = {device_from.data(), rows.data(), row_count.data(),
                                     device_bias.data(), to.data(),   300};
  CHECK_LAUNCH(air_step_gather, shape, p);
  const std::vector<float> out = to.download();
  for (size_t k = 0; k < 300; ++k) {
    CHECK_EQ(out[k], from[4 * 300 + k] + bias[k]);
    CHECK_EQ(out[300 + k], from[k] + bias[k]);
    CHECK_EQ(out[600 + k], from[600 + k] + bias[k]);
    CHECK(std::isnan(out[900 + k]));  // never written
  }
  // In place, every row.
  DeviceArray<float> residual("residual", from, air_test::WritableArray<float>());
  const air::cuda::GatherParams in_place = {residual.data(),    nullptr,         row_count.data(),
                                            device_bias.data(), residual.data(), 300};
  CHECK_LAUNCH(air_step_gather, shape, in_place);
  const std::vector<float> after = residual.download();
  for (size_t i = 0; i < 4 * 300; ++i) CHECK_EQ(after[i], i < 900 ? from[i] + bias[i % 300] : from[i]);
}

TEST(drafted_tokens_are_fed_back) {
  DeviceArray<int32_t> drafted("drafted", std::vector<int32_t>{50, -1, 70});
  DeviceArray<int32_t> source("source", std::vector<int32_t>{2, 1, 0, 0});
  DeviceArray<int32_t> token_count("token_count", std::vector<int32_t>{3});
  DeviceArray<int32_t> tokens("tokens", std::vector<int32_t>{7, 7, 7, 7}, air_test::WritableArray<int32_t>());
  LaunchShape shape;
  shape.threads = 256;
  const air::cuda::FeedParams p = {drafted.data(), source.data(), token_count.data(), tokens.data()};
  CHECK_LAUNCH(air_step_feed, shape, p);
  const std::vector<int32_t> expected = {70, 0, 50, 7};
  CHECK(tokens.download() == expected);
}
