// The kernels over rows of logits against native/core/row_ops.h.
#include "native/core/row_ops.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/launch/row_ops.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/check.h"

using air::cuda::DeviceDrawKey;
using air::cuda::LaunchShape;
using air_test::DeviceArray;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_rows(size_t count, float deviation = 4.0f, uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> rows(count);
  for (float& value : rows) value = normal(random);
  return rows;
}

// Few different values, so that most have equals.
std::vector<float> coarse_rows(size_t count) {
  std::vector<float> rows = random_rows(count, 2.0f);
  for (float& value : rows) value = std::rint(value);
  return rows;
}

std::vector<float> softmax(std::vector<float> rows, int32_t cols, const std::vector<float>& temperatures) {
  const auto count = static_cast<int32_t>(temperatures.size());
  DeviceArray<float> device_rows("rows", rows, air_test::WritableArray<float>());
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{count});
  DeviceArray<float> device_temperatures("temperatures", temperatures);
  const air::cuda::SoftmaxParams p = {device_rows.data(), row_count.data(), device_temperatures.data(), cols};
  // One row more than there are: it must be left alone.
  CHECK_LAUNCH(air_row_softmax, air::cuda::softmax_shape(count + 1, cols), p);
  return device_rows.download();
}

struct TopK {
  std::vector<int32_t> ids;
  std::vector<float> values;
};

TopK top_k(const std::vector<float>& rows, int32_t cols, int32_t k) {
  const auto count = static_cast<int32_t>(rows.size()) / cols;
  DeviceArray<float> device_rows("rows", rows);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{count});
  DeviceArray<int32_t> ids("ids", static_cast<size_t>(count * k));
  DeviceArray<float> values("values", static_cast<size_t>(count * k));
  const air::cuda::TopKParams p = {device_rows.data(), row_count.data(), ids.data(), values.data(), cols, k};
  CHECK_LAUNCH(air_row_top_k, air::cuda::top_k_shape(count + 1, cols), p);
  return {ids.download(), values.download()};
}

void check_top_k(const std::vector<float>& rows, int32_t cols, int32_t k, const std::string& name) {
  const TopK actual = top_k(rows, cols, k);
  TopK expected = {std::vector<int32_t>(static_cast<size_t>(k)), std::vector<float>(static_cast<size_t>(k))};
  for (size_t row = 0; row < rows.size() / static_cast<size_t>(cols); ++row) {
    air::top_k_row(rows.data() + row * static_cast<size_t>(cols), cols, k, expected.ids.data(),
                   expected.values.data());
    for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
      const size_t at = row * static_cast<size_t>(k) + i;
      CHECK_MSG(actual.ids[at] == expected.ids[i] && actual.values[at] == expected.values[i],
                name + ", k=" + std::to_string(k) + ": place " + std::to_string(i) + " of row " +
                    std::to_string(row));
    }
  }
}

std::vector<int32_t> sample(const std::vector<float>& weights, const std::vector<int32_t>& ids, int32_t cols,
                            const std::vector<DeviceDrawKey>& keys) {
  const auto count = static_cast<int32_t>(keys.size());
  DeviceArray<float> device_weights("weights", weights);
  DeviceArray<int32_t> device_ids("ids", ids);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{count});
  DeviceArray<DeviceDrawKey> device_keys("keys", keys);
  DeviceArray<int32_t> indices("indices", keys.size());
  const air::cuda::SampleParams p = {device_weights.data(), ids.empty() ? nullptr : device_ids.data(),
                                     row_count.data(),      device_keys.data(),
                                     indices.data(),        cols};
  CHECK_LAUNCH(air_row_sample, air::cuda::sample_shape(count, cols), p);
  return indices.download();
}

int32_t sample_on_host(const std::vector<float>& weights, size_t row, const std::vector<int32_t>& ids,
                       int32_t cols, const DeviceDrawKey& key) {
  const size_t at = row * static_cast<size_t>(cols);
  return air::sample_row(weights.data() + at, ids.empty() ? nullptr : ids.data() + at, cols,
                         {key.seed, key.position, key.purpose});
}

std::vector<float> residual(const std::vector<float>& target, const std::vector<float>& draft, int32_t cols) {
  const auto count = static_cast<int32_t>(target.size()) / cols;
  DeviceArray<float> device_target("target", target, air_test::WritableArray<float>());
  DeviceArray<float> device_draft("draft", draft);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{count});
  const air::cuda::ResidualParams p = {device_target.data(), device_draft.data(), row_count.data(),
                                       device_target.data(), cols};
  CHECK_LAUNCH(air_row_residual, air::cuda::residual_shape(count, cols), p);
  return device_target.download();
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

// float32 exponentials and sums: 1e-6 between the two orders and the two exps.
TEST(softmax_is_that_of_the_host) {
  for (const int32_t cols : {1, 33, 1000, 5000}) {
    const auto width = static_cast<size_t>(cols);
    std::vector<float> rows = random_rows(3 * width);
    if (cols > 2) rows[1] = -kInfinity;
    const std::vector<float> temperatures = {0.7f, 1.3f};
    const std::vector<float> actual = softmax(rows, cols, temperatures);
    for (size_t row = 0; row < 2; ++row) {
      std::vector<float> expected(rows.begin() + static_cast<int64_t>(row * width),
                                  rows.begin() + static_cast<int64_t>((row + 1) * width));
      air::softmax_row(expected.data(), cols, temperatures[row]);
      for (size_t i = 0; i < width; ++i) {
        const float value = actual[row * width + i];
        CHECK(std::fabs(value - expected[i]) <= 2e-6f * expected[i] + 1e-37f);
        if (expected[i] == 0) CHECK_EQ(value, 0.0f);
      }
    }
    for (size_t i = 2 * width; i < 3 * width; ++i) CHECK_EQ(actual[i], rows[i]);
  }
}

TEST(softmax_shows_a_nan) {
  const std::vector<float> actual = softmax({1, 2, kNan, 3, 0, 0, 0, 0}, 4, {1.0f});
  for (size_t i = 0; i < 4; ++i) CHECK(std::isnan(actual[i]));
}

TEST(the_largest_are_those_of_the_host) {
  check_top_k(random_rows(2 * 1000), 1000, 40, "random");
  check_top_k(random_rows(5000), 5000, 1, "random");
  check_top_k(random_rows(1500), 1500, 1024, "random");
  check_top_k(random_rows(7), 7, 7, "all");
  check_top_k(random_rows(1), 1, 1, "a single one");
  check_top_k(coarse_rows(2 * 700), 700, 100, "equals");
  check_top_k(std::vector<float>(600, -1.5f), 600, 300, "all equal");
  check_top_k(std::vector<float>(5000, 0.0f), 5000, 33, "zeros");
}

TEST(nan_is_last_and_zeros_are_equal) {
  const std::vector<float> row = {kNan, -0.0f,     0.0f,    -kInfinity, 3.0f,
                                  kNan, kInfinity, -1e-40f, 1e-40f,     -3.0f};
  for (int32_t k = 1; k <= 10; ++k) check_top_k(row, 10, k, "specials");
}

TEST(draws_are_those_of_the_host) {
  constexpr int32_t kCols = 3000;
  constexpr size_t kRows = 12;
  std::vector<float> weights = random_rows(kRows * kCols, 1.0f);
  std::vector<int32_t> ids(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::exp(3.0f * weights[i]) * (i % 3 == 0 ? 0.0f : 1.0f);
    ids[i] = static_cast<int32_t>((i * 7919) % 151936);
  }
  std::vector<DeviceDrawKey> keys;
  for (uint32_t row = 0; row < kRows; ++row)
    keys.push_back({0x123456789abcdefull * (row + 1), 17 + row, row % 3});
  const std::vector<int32_t> plain = sample(weights, {}, kCols, keys);
  const std::vector<int32_t> named = sample(weights, ids, kCols, keys);
  int32_t differing = 0;
  for (size_t row = 0; row < kRows; ++row) {
    CHECK_EQ(plain[row], sample_on_host(weights, row, {}, kCols, keys[row]));
    CHECK_EQ(named[row], sample_on_host(weights, row, ids, kCols, keys[row]));
    differing += plain[row] != named[row] ? 1 : 0;
  }
  CHECK(differing > 6);  // the ids count
}

TEST(the_first_of_equal_draws_is_taken) {
  const DeviceDrawKey key = {1, 2, 3};
  CHECK_EQ(sample(std::vector<float>(600, 1.0f), std::vector<int32_t>(600, 77), 600, {key})[0], 0);
}

TEST(weights_that_cannot_be_drawn_from_give_none) {
  const DeviceDrawKey key = {1, 2, 3};
  std::vector<float> weights(5 * 600, 1.0f);
  for (size_t i = 0; i < 600; ++i) weights[i] = 0.0f;
  weights[600 + 5] = -1.0f;
  weights[1200 + 599] = kNan;
  weights[1800 + 300] = kInfinity;
  const std::vector<int32_t> indices = sample(weights, {}, 600, {key, key, key, key, key});
  for (size_t row = 0; row < 4; ++row) CHECK_EQ(indices[row], -1);
  CHECK(indices[4] >= 0);
  CHECK_EQ(sample({0, 0, 2, 0}, {}, 4, {key})[0], 2);
}

TEST(residuals_are_those_of_the_host) {
  constexpr int32_t kCols = 5000;
  std::vector<float> target = random_rows(2 * kCols, 1.0f, 5);
  std::vector<float> draft = random_rows(2 * kCols, 1.0f, 6);
  for (int32_t row = 0; row < 2; ++row) {
    air::softmax_row(target.data() + row * kCols, kCols, 1.0f);
    air::softmax_row(draft.data() + row * kCols, kCols, 1.0f);
  }
  // The second row of both is equal: no residual.
  std::copy(target.begin() + kCols, target.end(), draft.begin() + kCols);
  const std::vector<float> actual = residual(target, draft, kCols);
  std::vector<float> expected(kCols);
  air::residual_row(target.data(), draft.data(), kCols, expected.data());
  for (size_t i = 0; i < kCols; ++i) {
    CHECK(std::fabs(actual[i] - expected[i]) <= 2e-6f * expected[i]);
    CHECK_EQ(actual[kCols + i], target[kCols + i]);
  }
}

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
