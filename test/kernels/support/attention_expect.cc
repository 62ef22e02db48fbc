// What the attention of a step should be, read from the CPU's layout of pages in float64.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "test/kernels/support/attention_step.h"
#include "test/native/kernel_cases.h"

namespace air_test {

using air::cuda::CacheRange;

bool AttentionStep::is_open(int32_t head) const {
  return step_.gates.empty() || step_.gates[static_cast<size_t>(head)] != 0;
}

// Read from the CPU's layout.
double AttentionStep::element(bool is_key, int32_t kv_head, int32_t sequence, int32_t index,
                              int32_t dim) const {
  const uint8_t* member = const_cast<AttentionStep*>(this)->member_of(kv_head, sequence, index);
  const int32_t type = is_key ? layout_.key_type : layout_.value_type;
  const int32_t dims = layout_.head_dim;
  const int32_t offset = index % step_.page_tokens;
  const int32_t lane = offset % 16;
  const auto half = [&](int64_t at) {
    uint16_t bits;
    std::memcpy(&bits, member + at, sizeof bits);
    return half_value(bits);
  };
  const int64_t values = is_key ? 0 : layout_.values_offset;
  const int64_t scales = is_key ? layout_.key_scales_offset : layout_.value_scales_offset;
  if (type == AIR_KV_F16)
    return half(values + 2 * (is_key ? (offset - lane) * dims + dim * 16 + lane : offset * dims + dim));
  if (type == AIR_KV_INT8) {
    const int32_t at =
        is_key ? (offset - lane) * dims + dim / 4 * 64 + lane * 4 + dim % 4 : offset * dims + dim;
    return static_cast<int8_t>(member[values + at]) * half(scales + 2 * offset);
  }
  const int32_t b = dim % 16;
  const int32_t at = is_key ? (offset - lane) * dims / 2 + dim / 32 * 256 + b / 4 * 64 + lane * 4 + b % 4
                            : offset * dims / 2 + dim / 32 * 16 + b;
  const int q = (member[values + at] >> (dim % 32 < 16 ? 0 : 4) & 15) - 8;
  return q * half(scales + 2 * ((offset - lane) * (dims / 32) + dim / 32 * 16 + lane));
}

double AttentionStep::score(int32_t row, int32_t head, int32_t index, double* size) const {
  const int32_t kv_head = head / step_.heads_per_kv;
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  const CacheRange& range = ranges_[static_cast<size_t>(g * rows_ + row)];
  const std::vector<uint16_t>& q = index < range.sink_tokens ? sink_queries_ : queries_;
  double sum = 0;
  for (int32_t d = 0; d < step_.head_dim; ++d) {
    const double product =
        half_value(q[static_cast<size_t>((int64_t{row} * query_heads_ + head) * layout_.head_dim + d)]) *
        element(true, kv_head, sequence_of_[static_cast<size_t>(row)], index, d);
    sum += product;
    *size += std::fabs(product);
  }
  return sum;
}

std::vector<AttentionStep::Expected> AttentionStep::expect(int32_t row, int32_t head) const {
  std::vector<Expected> expected(static_cast<size_t>(step_.head_dim));
  const int32_t kv_head = head / step_.heads_per_kv;
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  if (g < 0 || !is_open(head)) return expected;
  const CacheRange& range = ranges_[static_cast<size_t>(g * rows_ + row)];
  std::vector<int32_t> read;
  std::vector<double> scores;
  double score_size = 0;
  for (int32_t index = 0; index < range.end; ++index) {
    if (index >= range.sink_tokens && index < range.window_start) continue;
    read.push_back(index);
    double size = 0;
    scores.push_back(score(row, head, index, &size));
    score_size = std::max(score_size, size);
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - largest);
  for (size_t i = 0; i < read.size(); ++i) {
    for (int32_t d = 0; d < step_.head_dim; ++d) {
      const double v = element(false, kv_head, sequence_of_[static_cast<size_t>(row)], read[i], d);
      Expected& e = expected[static_cast<size_t>(d)];
      e.value += scores[i] / sum * v;
      e.size += scores[i] / sum * std::fabs(v);
      e.reach += std::fabs(v) / sum;
      e.score = score_size;
    }
  }
  return expected;
}

std::string AttentionStep::find_error(const std::vector<uint16_t>& attended, double tolerance) const {
  if (attended.size() != static_cast<size_t>(rows_ * row_width())) return "no result";
  for (int32_t i = 0; i < rows_ * query_heads_; ++i) {
    const std::vector<Expected> expected = expect(i / query_heads_, i % query_heads_);
    for (int32_t d = 0; d < step_.head_dim; ++d) {
      const double got = half_value(attended[static_cast<size_t>(i * step_.head_dim + d)]);
      const Expected& e = expected[static_cast<size_t>(d)];
      // A score is a sum of float32 in some order that matrix units truncate: off by 2^-22 of its size, if that.
      const double allowed = (tolerance + 2 * 0x1p-22 * e.score) * e.size + 0x1p-25 * (1 + e.reach);
      if (std::fabs(got - e.value) <= allowed) continue;
      return "row " + std::to_string(i / query_heads_) + " head " + std::to_string(i % query_heads_) +
             " dim " + std::to_string(d) + " is " + std::to_string(got) + ", expected " +
             std::to_string(e.value) + " +- " + std::to_string(allowed);
    }
  }
  return "";
}

std::vector<double> AttentionStep::expect_page_mass() const {
  const auto sequences = static_cast<int32_t>(step_.sequences.size());
  std::vector<double> mass(static_cast<size_t>(2 * sequences * table_pages_));
  std::vector<int32_t> heads_of_table(static_cast<size_t>(2 * sequences));
  for (int32_t row = 0; row < rows_; ++row) {
    const int32_t s = sequence_of_[static_cast<size_t>(row)];
    if (row + 1 < rows_ && sequence_of_[static_cast<size_t>(row + 1)] == s) continue;
    for (int32_t head = 0; head < query_heads_; ++head) {
      const int32_t g = step_.groups[static_cast<size_t>(head / step_.heads_per_kv)];
      if (g < 0 || !is_open(head)) continue;
      const CacheRange& range = ranges_[static_cast<size_t>(g * rows_ + row)];
      ++heads_of_table[static_cast<size_t>(g * sequences + s)];
      double sum = 0;
      std::vector<double> of_pages(static_cast<size_t>(table_pages_));
      for (int32_t index = 0; index < range.end; ++index) {
        if (index >= range.sink_tokens && index < range.window_start) continue;
        const int32_t entry = index < range.gap_begin ? index : index - range.gap;
        double size = 0;
        const double weight = std::exp(score(row, head, index, &size));
        of_pages[static_cast<size_t>(entry / step_.page_tokens)] += weight;
        sum += weight;
      }
      for (int32_t page = 0; page < table_pages_; ++page)
        mass[static_cast<size_t>((g * sequences + s) * table_pages_ + page)] +=
            of_pages[static_cast<size_t>(page)] / sum;
    }
  }
  for (size_t i = 0; i < mass.size(); ++i)
    mass[i] /= std::max(heads_of_table[i / static_cast<size_t>(table_pages_)], 1);
  return mass;
}

}  // namespace air_test
