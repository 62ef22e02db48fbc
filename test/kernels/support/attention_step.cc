#include "test/kernels/support/attention_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/cuda/launch/kv_pages.h"
#include "native/core/half.h"
#include "test/native/kernel_cases.h"

namespace air_test {

namespace {

using air::cuda::CacheRange;

constexpr int64_t kMembers = 3;  // of a page, of which the layer at hand has the last ones

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

int32_t padded(int32_t head_dim) { return ceil_div(head_dim, AIR_GROUP) * AIR_GROUP; }

// A vector that depends on what it is of only. Every eleventh token is large.
std::vector<float> entry_vector(uint32_t seed, int32_t index, int32_t head_dim, int32_t size) {
  Random random(seed * 7919u + static_cast<uint32_t>(index) * 31u);
  std::vector<float> x = random_floats(random, size);
  for (int32_t d = 0; d < size; ++d)
    x[static_cast<size_t>(d)] *= d >= head_dim ? 0.0f : index % 11 == 5 ? 3.0f : 1.0f;
  return x;
}

// One query, which depends on what it is of only.
void write_query(uint64_t seed, int32_t head_dim, float scale, uint16_t* out) {
  Random random(seed);
  for (int32_t d = 0; d < head_dim; ++d) out[d] = air::float_to_half(random.uniform() * scale);
}

}  // namespace

AttentionStep::AttentionStep(const StepCase& step)
    : step_(step),
      layout_(kv_layout(padded(step.head_dim), step.page_tokens, step.keys, step.values)),
      kv_heads_(static_cast<int32_t>(step.groups.size())),
      query_heads_(kv_heads_ * step.heads_per_kv) {
  for (size_t s = 0; s < step.sequences.size(); ++s) {
    for (int32_t r = 0; r < step.sequences[s].rows; ++r) sequence_of_.push_back(static_cast<int32_t>(s));
  }
  rows_ = static_cast<int32_t>(sequence_of_.size());
  place_entries();
  for (int32_t head = 0; head < kv_heads_; ++head) {
    for (size_t s = 0; s < step.sequences.size(); ++s) write_entries(head, static_cast<int32_t>(s));
  }
  for (Group& group : groups_) {
    group.device.resize(group.host.size());
    for (size_t at = 0; at < group.host.size(); at += static_cast<size_t>(layout_.member_bytes))
      air::cuda::member_to_device(layout_, group.host.data() + at, group.device.data() + at);
    group.memory = std::make_unique<DeviceArray<uint8_t>>("pages", group.device);
  }
  make_ranges();
  make_queries();
}

// Pages of both groups in an order that page_seed shuffles; what is not written is NaN wherever it can be.
void AttentionStep::place_entries() {
  const auto sequences = static_cast<int32_t>(step_.sequences.size());
  const bool has_whole = std::count(step_.groups.begin(), step_.groups.end(), 0) > 0;
  for (const SequenceCase& s : step_.sequences)
    table_pages_ = std::max(table_pages_,
                            ceil_div(s.cached + s.rows - (has_whole ? 0 : step_.evicted), step_.page_tokens));
  tables_.assign(static_cast<size_t>(2 * sequences * table_pages_), 1 << 24);
  for (int32_t g = 0; g < 2; ++g) {
    std::vector<int32_t> free_pages(static_cast<size_t>(sequences * table_pages_ + 2));
    std::iota(free_pages.begin(), free_pages.end(), 1);
    Random random(step_.page_seed * 2 + static_cast<uint32_t>(g));
    for (size_t i = free_pages.size(); i > 1; --i)
      std::swap(free_pages[i - 1], free_pages[random.bits() % i]);
    for (int32_t s = 0; s < sequences; ++s) {
      const SequenceCase& sequence = step_.sequences[static_cast<size_t>(s)];
      if (std::count(step_.groups.begin(), step_.groups.end(), g) == 0) continue;
      const int32_t resident = sequence.cached + sequence.rows - (g == 1 ? step_.evicted : 0);
      for (int32_t page = 0; page < ceil_div(resident, step_.page_tokens); ++page) {
        tables_[static_cast<size_t>((g * sequences + s) * table_pages_ + page)] = free_pages.back();
        free_pages.pop_back();
      }
    }
    groups_[g].page_bytes = kMembers * layout_.member_bytes;
    const int64_t pages = int64_t{sequences} * table_pages_ + 3;
    groups_[g].host.assign(static_cast<size_t>(pages * groups_[g].page_bytes), 0xff);
  }
}

uint8_t* AttentionStep::member_of(int32_t kv_head, int32_t sequence, int32_t index) {
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  const int32_t sinks = ceil_div(g == 1 ? step_.sinks : 0, step_.page_tokens) * step_.page_tokens;
  const int32_t entry = g == 0 || index < sinks ? index : index - step_.evicted;
  const auto sequences = static_cast<int32_t>(step_.sequences.size());
  const int32_t page =
      tables_[static_cast<size_t>((g * sequences + sequence) * table_pages_ + entry / step_.page_tokens)];
  return groups_[g].host.data() + page * groups_[g].page_bytes + (1 + kv_head / 2 % 2) * layout_.member_bytes;
}

void AttentionStep::write_entries(int32_t kv_head, int32_t sequence) {
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  if (g < 0) return;
  const SequenceCase& s = step_.sequences[static_cast<size_t>(sequence)];
  const int32_t gap = ceil_div(step_.sinks, step_.page_tokens) * step_.page_tokens;
  for (int32_t index = 0; index < s.cached + s.rows; ++index) {
    if (g == 1 && index >= gap && index < gap + step_.evicted) continue;
    const auto seed = static_cast<uint32_t>(kv_head * 100 + sequence * 2);
    const std::vector<float> key = entry_vector(seed, index, step_.head_dim, layout_.head_dim);
    const std::vector<float> value = entry_vector(seed + 1, index, step_.head_dim, layout_.head_dim);
    air_kernels_reference()->kv_write(&layout_, member_of(kv_head, sequence, index),
                                      index % step_.page_tokens, key.data(), value.data());
  }
}

// As native/core/batch.cc places the windows.
void AttentionStep::make_ranges() {
  const auto sequences = static_cast<int32_t>(step_.sequences.size());
  for (int32_t g = 0; g < 2; ++g) {
    for (int32_t s = 0; s < sequences; ++s) {
      const SequenceCase& sequence = step_.sequences[static_cast<size_t>(s)];
      for (int32_t r = 0; r < sequence.rows; ++r) {
        CacheRange range = {};
        range.page_table = (g * sequences + s) * table_pages_;
        range.end = sequence.cached + r + 1;
        if (g == 1) {
          range.sink_tokens = std::min(step_.sinks, sequence.cached + sequence.rows);
          range.gap_begin = ceil_div(step_.sinks, step_.page_tokens) * step_.page_tokens;
          range.gap = step_.evicted;
          range.window_start = range.gap > 0 ? range.gap_begin + range.gap : range.sink_tokens;
          if (step_.window > 0) range.window_start = std::max(range.window_start, range.end - step_.window);
          range.sink_shift = range.window_start - range.sink_tokens;
        }
        ranges_.push_back(range);
      }
    }
  }
}

void AttentionStep::make_queries() {
  const float scale = 4.0f * step_.query_size / std::sqrt(static_cast<float>(step_.head_dim));
  const auto size = static_cast<size_t>(layout_.head_dim);
  queries_.assign(static_cast<size_t>(rows_ * query_heads_) * size, 0);
  sink_queries_ = queries_;
  for (int32_t i = 0; i < rows_ * query_heads_; ++i) {
    const int32_t row = i / query_heads_;
    const int32_t position = ranges_[static_cast<size_t>(row)].end;
    const auto seed = static_cast<uint64_t>((position * 16 + sequence_of_[static_cast<size_t>(row)]) * 64 +
                                            i % query_heads_);
    const float size_of_row = row == step_.nan_row ? NAN : scale;
    write_query(2 * seed, step_.head_dim, size_of_row, queries_.data() + static_cast<size_t>(i) * size);
    write_query(2 * seed + 1, step_.head_dim, size_of_row,
                sink_queries_.data() + static_cast<size_t>(i) * size);
  }
}

std::vector<uint16_t> AttentionStep::row_of(const std::vector<uint16_t>& attended, int32_t row) const {
  const auto begin = static_cast<size_t>(row * row_width());
  if (attended.size() < begin + static_cast<size_t>(row_width())) return {};
  return {attended.begin() + static_cast<int64_t>(begin),
          attended.begin() + static_cast<int64_t>(begin) + row_width()};
}

}  // namespace air_test
