// Draws from a row of weights: frequencies, and the coupling of draws under one key.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "native/core/philox.h"
#include "native/core/row_ops.h"
#include "test/native/check.h"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kSeed = 20260719;
constexpr uint32_t kPurpose = 1;

// A distribution over `count` tokens, some of them far likelier than others.
std::vector<float> random_weights(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> weights(count);
  for (float& weight : weights) weight = std::exp(normal(random));
  return weights;
}

double total_of(const std::vector<float>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

int32_t draw(const std::vector<float>& weights, uint32_t position, uint64_t seed = kSeed,
             uint32_t purpose = kPurpose) {
  return air::sample_row(weights.data(), nullptr, static_cast<int64_t>(weights.size()),
                         {seed, position, purpose});
}

// Pearson's statistic of the draws at positions 0 .. draws - 1.
double chi_square(const std::vector<float>& weights, uint32_t draws) {
  std::vector<double> counts(weights.size());
  for (uint32_t position = 0; position < draws; ++position)
    counts[static_cast<size_t>(draw(weights, position))] += 1;
  const double total = total_of(weights);
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double expected = weights[i] / total * draws;
    if (expected > 0) sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    if (weights[i] == 0) CHECK_EQ(counts[i], 0.0);
  }
  return sum;
}

}  // namespace

TEST(philox_gives_the_known_answers) {
  // Counter, key and output from the Random123 distribution, kat_vectors, philox4x32 with 10 rounds.
  using Words = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xffffffff;
  CHECK((air::philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK((air::philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
         Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((air::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(sample_draws_in_proportion_to_the_weights_and_never_a_zero) {
  // Critical values of p = 0.001 for one degree of freedom less than there are positive weights.
  CHECK(chi_square({1, 0, 2, 3, 0, 4}, 100'000) < 16.27);
  CHECK(chi_square({0, 1e-30F, 1e-30F, 0}, 10'000) < 10.83);
  std::vector<float> weights = random_weights(64, 7);
  for (float& weight : weights) weight = std::max(weight, 0.01F);  // every token is expected dozens of times
  CHECK(chi_square(weights, 200'000) < 103.44);
}

TEST(sample_takes_the_least_exponential_variate_over_its_weight) {
  const std::vector<float> weights = random_weights(301, 11);
  for (uint32_t position = 0; position < 500; ++position) {
    size_t expected = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto words = air::philox4x32({position, kPurpose, static_cast<uint32_t>(i / 4), 1}, {0xabcd, 3});
      const double ratio = -std::log((words[i % 4] + 0.5) / 4294967296.0) / weights[i];
      if (ratio < least) least = ratio, expected = i;
    }
    CHECK_EQ(draw(weights, position, (uint64_t{3} << 32) + 0xabcd), static_cast<int32_t>(expected));
  }
}

TEST(sample_gives_an_id_the_same_variate_wherever_it_stands) {
  std::vector<float> weights = random_weights(50, 3);
  for (size_t i = 0; i < weights.size(); i += 3) weights[i] = 0;
  std::vector<int32_t> ids;  // those that can be drawn, in another order
  std::vector<float> of_ids;
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t id = i * 17 % weights.size();
    if (weights[id] == 0) continue;
    ids.push_back(static_cast<int32_t>(id));
    of_ids.push_back(weights[id]);
  }
  for (uint32_t position = 0; position < 2000; ++position) {
    const int32_t index = air::sample_row(of_ids.data(), ids.data(), static_cast<int64_t>(ids.size()),
                                          {kSeed, position, kPurpose});
    CHECK_EQ(ids[static_cast<size_t>(index)], draw(weights, position));
  }
}

TEST(sample_refuses_weights_that_are_none) {
  CHECK_EQ(draw({1, -1}, 0), -1);
  CHECK_EQ(draw({1, kNan}, 0), -1);
  CHECK_EQ(draw({kNan, 1}, 0), -1);
  CHECK_EQ(draw({kInfinity, 1}, 0), -1);
  CHECK_EQ(draw({0, 0, 0}, 0), -1);
  CHECK_EQ(draw({0, 0, 1e-38F}, 0), 2);
}

TEST(sample_is_independent_for_other_seeds_positions_and_purposes) {
  constexpr uint32_t kDraws = 4000;
  const std::vector<float> flat(8, 1.0F);
  uint32_t seeds = 0;
  uint32_t high_seeds = 0;
  uint32_t positions = 0;
  uint32_t purposes = 0;
  for (uint32_t position = 0; position < kDraws; ++position) {
    const int32_t token = draw(flat, position);
    CHECK_EQ(draw(flat, position), token);
    seeds += token == draw(flat, position, kSeed + 1);
    high_seeds += token == draw(flat, position, kSeed + (uint64_t{1} << 32));
    positions += token == draw(flat, position + kDraws);
    purposes += token == draw(flat, position, kSeed, kPurpose + 1);
  }
  for (const uint32_t equal : {seeds, high_seeds, positions, purposes}) {
    CHECK(std::fabs(equal / double{kDraws} - 0.125) < 0.021);  // four standard deviations
  }
}

TEST(sample_from_similar_weights_mostly_gives_the_same_token) {
  constexpr uint32_t kDraws = 20'000;
  const std::vector<float> target = random_weights(64, 5);
  for (const float share : {0.1F, 0.3F, 0.6F}) {
    // A mixture of the target and another distribution.
    std::vector<float> draft = random_weights(64, 6);
    const double scale = total_of(target) / total_of(draft);
    double distance = 0;  // total variation
    double by_chance = 0;
    for (size_t i = 0; i < draft.size(); ++i) {
      draft[i] = (1 - share) * target[i] + share * static_cast<float>(draft[i] * scale);
      const double p = target[i] / total_of(target);
      const double q = draft[i] / total_of(target);
      distance += std::fabs(p - q) / 2;
      by_chance += p * q;
    }
    double equal = 0;
    for (uint32_t position = 0; position < kDraws; ++position)
      equal += draw(target, position) == draw(draft, position);
    const double rate = equal / kDraws;
    // The bound of arXiv 2408.07978, less four standard deviations.
    CHECK(rate > (1 - distance) / (1 + distance) - 0.015);
    CHECK(rate < 1 - distance + 0.015);  // no coupling does better
    CHECK(rate > by_chance + 0.2);
  }
}
