#include "native/core/row_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "native/core/philox.h"

namespace air {

namespace {

// Last word of the counters of per-token draws; those of lib/util/rng.ts's uniform() have 0 there.
constexpr uint32_t kTokenStream = 1;

}  // namespace

void softmax_row(float* row, int64_t count, float temperature) noexcept {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, row[i]);
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    row[i] = std::exp((row[i] - largest) / temperature);
    total += row[i];
  }
  const auto inverse = static_cast<float>(1.0 / total);
  for (int64_t i = 0; i < count; ++i) row[i] *= inverse;
}

int32_t argmax_row(const float* row, int64_t count) noexcept {
  // Nearly no block holds a larger value than those before it, and finding that out compiles to vectors.
  constexpr int64_t kBlock = 256;
  int64_t best = 0;
  int32_t nans = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    const float largest = row[best];
    int32_t larger = 0;
    for (int64_t i = begin; i < end; ++i) {
      larger |= row[i] > largest;
      nans |= row[i] != row[i];
    }
    if (larger == 0) continue;
    for (int64_t i = begin; i < end; ++i)
      if (row[i] > row[best]) best = i;
  }
  return nans != 0 ? -1 : static_cast<int32_t>(best);
}

void top_k_row(const float* row, int64_t count, int64_t k, int32_t* out_ids, float* out_values) {
  using Entry = std::pair<float, int32_t>;
  // "a is better than b": larger value, then lower index. As a heap's order it keeps the worst on top.
  const auto better = [](const Entry& a, const Entry& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  const auto value_at = [row](int64_t i) {
    return row[i] == row[i] ? row[i] : -std::numeric_limits<float>::infinity();
  };
  std::vector<Entry> heap;
  heap.reserve(static_cast<size_t>(k));
  for (int64_t i = 0; i < k; ++i) heap.emplace_back(value_at(i), static_cast<int32_t>(i));
  std::make_heap(heap.begin(), heap.end(), better);
  for (int64_t i = k; i < count; ++i) {
    // Later indices lose ties, so only a strictly larger value can enter.
    if (!(row[i] > heap.front().first)) continue;
    std::pop_heap(heap.begin(), heap.end(), better);
    heap.back() = {row[i], static_cast<int32_t>(i)};
    std::push_heap(heap.begin(), heap.end(), better);
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  for (int64_t i = 0; i < k; ++i) {
    out_ids[i] = heap[static_cast<size_t>(i)].second;
    out_values[i] = heap[static_cast<size_t>(i)].first;
  }
}

int32_t sample_row(const float* weights, const int32_t* ids, int64_t count, const DrawKey& key) noexcept {
  const std::array<uint32_t, 2> philox_key = {static_cast<uint32_t>(key.seed),
                                              static_cast<uint32_t>(key.seed >> 32)};
  std::array<uint32_t, 4> words{};
  uint32_t block = 0;
  bool has_words = false;
  double least = std::numeric_limits<double>::infinity();  // of E_i / weights[i] so far
  int64_t winner = -1;
  for (int64_t i = 0; i < count; ++i) {
    const double weight = weights[i];
    if (!(weight >= 0) || std::isinf(weight)) return -1;
    if (weight == 0) continue;
    const auto id = static_cast<uint32_t>(ids == nullptr ? i : ids[i]);
    if (!has_words || block != id / 4) {
      block = id / 4;
      has_words = true;
      words = philox4x32({key.position, key.purpose, block, kTokenStream}, philox_key);
    }
    const double uniform = (words[id % 4] + 0.5) / 4294967296.0;
    // E = -log(uniform) < least * weight takes a uniform above exp(-least * weight) >= 1 - least * weight.
    if (uniform <= 1 - least * weight) continue;
    const double ratio = -std::log(uniform) / weight;
    if (ratio >= least) continue;
    least = ratio;
    winner = i;
  }
  return static_cast<int32_t>(winner);
}

float peak_probability(const float* row, int64_t count, int64_t best) noexcept {
  float total = 0;
  for (int64_t i = 0; i < count; ++i) {
    // Below this, 2^17 tokens together have less than a hundredth of the largest one's probability.
    const float below = row[i] - row[best];
    if (below > -16) total += std::exp(below);
  }
  return 1 / total;
}

double log_sum_exp_row(const float* row, int64_t count) noexcept {
  float largest = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, row[i]);
  if (!std::isfinite(largest)) return largest;
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += static_cast<double>(std::exp(row[i] - largest));
  return static_cast<double>(largest) + std::log(total);
}

double divergence_row(const float* reference, const float* logits, int64_t count) noexcept {
  const double reference_total = log_sum_exp_row(reference, count);
  const double total = log_sum_exp_row(logits, count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double log_p = reference[i] - reference_total;
    // Less likely tokens together weigh less than float32 tells apart.
    if (log_p < -40) continue;
    sum += static_cast<double>(std::exp(static_cast<float>(log_p))) * (log_p - (logits[i] - total));
  }
  return sum < 0 ? 0 : sum;  // a NaN stays one
}

void residual_row(const float* target, const float* draft, int64_t count, float* out) noexcept {
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += std::max(0.0F, target[i] - draft[i]);
  const auto inverse = total > 0 ? static_cast<float>(1.0 / total) : 0.0F;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = total > 0 ? std::max(0.0F, target[i] - draft[i]) * inverse : target[i];
  }
}

}  // namespace air
