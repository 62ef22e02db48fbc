#include "native/core/row_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "test/native/check.h"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_row(size_t count) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 4);
  std::vector<float> row(count);
  for (float& value : row) value = normal(random);
  return row;
}

}  // namespace

TEST(softmax_is_the_tempered_distribution) {
  const std::vector<float> logits = random_row(1000);
  std::vector<float> probs = logits;
  air::softmax_row(probs.data(), 1000, 0.7F);
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit) / 0.7);
  double worst = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    worst =
        std::max(worst, std::fabs(probs[i] / (std::exp(static_cast<double>(logits[i]) / 0.7) / total) - 1));
  }
  CHECK(worst < 1e-5);  // float32 exponentials of arguments up to about 40
}

TEST(softmax_gives_masked_logits_no_weight) {
  float row[] = {1, -kInfinity, 1};
  air::softmax_row(row, 3, 1);
  CHECK_EQ(row[0], 0.5F);
  CHECK_EQ(row[1], 0.0F);
}

TEST(argmax_takes_the_lowest_of_equals_and_reports_nan) {
  const float row[] = {-3, 2, 5, 5, 1};
  CHECK_EQ(air::argmax_row(row, 5), 2);
  const float spoilt[] = {1, kNan, 9};
  CHECK_EQ(air::argmax_row(spoilt, 3), -1);
  const float first[] = {kNan, 9};
  CHECK_EQ(air::argmax_row(first, 2), -1);
}

TEST(argmax_of_a_long_row_is_that_of_a_plain_search) {
  // Few values, so that the largest occurs often; lengths around those of blocks.
  for (const int64_t count : {1, 255, 256, 257, 1000, 4096}) {
    for (int64_t shift = 0; shift < 7; ++shift) {
      std::vector<float> row(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i)
        row[static_cast<size_t>(i)] = static_cast<float>((i + shift) * 37 % 101);
      const auto expected = std::max_element(row.begin(), row.end()) - row.begin();  // the first of equals
      CHECK_EQ(air::argmax_row(row.data(), count), static_cast<int32_t>(expected));
      row.back() = std::nanf("");
      CHECK_EQ(air::argmax_row(row.data(), count), -1);
    }
  }
}

TEST(top_k_equals_a_full_sort) {
  std::vector<float> row = random_row(500);
  for (size_t i = 0; i < row.size(); i += 3) row[i] = std::round(row[i]);  // ties
  std::vector<int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
  });
  for (const int64_t k : {1, 2, 40, 499, 500}) {
    std::vector<int32_t> ids(static_cast<size_t>(k));
    std::vector<float> values(static_cast<size_t>(k));
    air::top_k_row(row.data(), 500, k, ids.data(), values.data());
    CHECK(std::equal(ids.begin(), ids.end(), order.begin()));
    CHECK(std::all_of(ids.begin(), ids.end(), [&](const int32_t& id) {
      return values[static_cast<size_t>(&id - ids.data())] == row[static_cast<size_t>(id)];
    }));
  }
}

TEST(top_k_puts_nan_last) {
  const float row[] = {kNan, 1, kNan, 2};
  int32_t ids[2];
  float values[2];
  air::top_k_row(row, 4, 2, ids, values);
  CHECK_EQ(ids[0], 3);
  CHECK_EQ(ids[1], 1);
}

TEST(log_sum_exp_is_stable) {
  const float row[] = {1000, 1000, -kInfinity};
  CHECK(std::fabs(air::log_sum_exp_row(row, 3) - (1000 + std::log(2.0))) < 1e-6);
}

TEST(residual_is_the_normalised_positive_difference) {
  const float target[] = {0.5F, 0.3F, 0.2F};
  const float draft[] = {0.2F, 0.6F, 0.2F};
  float out[3];
  air::residual_row(target, draft, 3, out);
  CHECK_EQ(out[0], 1.0F);
  CHECK_EQ(out[1], 0.0F);
  CHECK_EQ(out[2], 0.0F);
  air::residual_row(target, target, 3, out);
  CHECK_EQ(out[1], 0.3F);
}

TEST(peak_probability_is_that_of_the_softmax) {
  std::vector<float> row = random_row(1000);
  row[17] = -kInfinity;  // masked
  const int32_t best = air::argmax_row(row.data(), 1000);
  const float peak = air::peak_probability(row.data(), 1000, best);
  air::softmax_row(row.data(), 1000, 1);
  // What is left out lies more than 16 below the largest: at most 1000 exp(-16) = 1.1e-4 of it.
  CHECK(std::fabs(peak / row[static_cast<size_t>(best)] - 1) < 2e-4F);
}

TEST(peak_probability_of_equals_and_of_a_lone_value) {
  const float equals[] = {3, 3, 3, 3};
  CHECK_EQ(air::peak_probability(equals, 4, 0), 0.25F);
  const float lone[] = {-kInfinity, -50, -kInfinity};
  CHECK_EQ(air::peak_probability(lone, 3, 1), 1.0F);
}

TEST(divergence_is_that_of_the_definition) {
  const std::vector<float> reference = random_row(1000);
  std::vector<float> logits = reference;
  for (size_t i = 0; i < logits.size(); ++i) logits[i] += i % 2 == 0 ? 0.5F : -0.25F;
  const auto log_probs = [](const std::vector<float>& row) {
    double total = 0;
    for (const float value : row) total += std::exp(static_cast<double>(value));
    std::vector<double> out;
    for (const float value : row) out.push_back(value - std::log(total));
    return out;
  };
  const std::vector<double> p = log_probs(reference);
  const std::vector<double> q = log_probs(logits);
  double expected = 0;
  for (size_t i = 0; i < p.size(); ++i) expected += std::exp(p[i]) * (p[i] - q[i]);
  const double divergence = air::divergence_row(reference.data(), logits.data(), 1000);
  CHECK(std::fabs(divergence / expected - 1) < 1e-5);
  CHECK(air::divergence_row(reference.data(), reference.data(), 1000) == 0);
  logits[3] = kNan;
  CHECK(std::isnan(air::divergence_row(reference.data(), logits.data(), 1000)));
}
