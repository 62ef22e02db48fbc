#include "test/kernels/support/attention_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/cuda/attention_shared.h"
#include "kernels/cuda/launch/kv_pages.h"
#include "native/core/half.h"
#include "test/kernels/support/attention_kernels.h"
#include "test/native/kernel_cases.h"

namespace air_test {

namespace {

using air::cuda::AttentionParams;
using air::cuda::CacheRange;
using air::cuda::KvMember;

constexpr int64_t kMembers = 3;  // of a page, of which the layer at hand has the last ones

int32_t ceil_div(int32_t a, int32_t b) {
  return (a + b - 1) / b;
}

int32_t padded(int32_t head_dim) {
  return ceil_div(head_dim, AIR_GROUP) * AIR_GROUP;
}

// A vector that depends on what it is of only. Every eleventh token is large.
std::vector<float> entry_vector(uint32_t seed, int32_t index, int32_t head_dim, int32_t size) {
  Random random(seed * 7919u + static_cast<uint32_t>(index) * 31u);
  std::vector<float> x = random_floats(random, size);
  for (int32_t d = 0; d < size; ++d) x[static_cast<size_t>(d)] *= d >= head_dim ? 0.0f : index % 11 == 5 ? 3.0f : 1.0f;
  return x;
}

std::vector<uint16_t> random_queries(uint64_t seed, int64_t vectors, int32_t head_dim, float scale) {
  Random random(seed);
  const int32_t size = padded(head_dim);
  std::vector<uint16_t> out(static_cast<size_t>(vectors * size));
  for (int64_t i = 0; i < vectors * size; ++i) {
    const float x = random.uniform() * scale;
    out[static_cast<size_t>(i)] = i % size < head_dim ? air::float_to_half(x) : 0;
  }
  return out;
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
  for (const SequenceCase& s : step_.sequences)
    table_pages_ = std::max(table_pages_, ceil_div(s.cached + s.rows, step_.page_tokens));
  tables_.assign(static_cast<size_t>(2 * sequences * table_pages_), 1 << 24);
  for (int32_t g = 0; g < 2; ++g) {
    std::vector<int32_t> free_pages(static_cast<size_t>(sequences * table_pages_ + 2));
    std::iota(free_pages.begin(), free_pages.end(), 1);
    Random random(step_.page_seed * 2 + static_cast<uint32_t>(g));
    for (size_t i = free_pages.size(); i > 1; --i) std::swap(free_pages[i - 1], free_pages[random.bits() % i]);
    for (int32_t s = 0; s < sequences; ++s) {
      const SequenceCase& sequence = step_.sequences[static_cast<size_t>(s)];
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
    air_kernels_reference()->kv_write(&layout_, member_of(kv_head, sequence, index), index % step_.page_tokens,
                                      key.data(), value.data());
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
  queries_ = random_queries(11, int64_t{rows_} * query_heads_, step_.head_dim, scale);
  sink_queries_ = random_queries(12, int64_t{rows_} * query_heads_, step_.head_dim, scale);
}

bool AttentionStep::is_open(int32_t head) const {
  return step_.gates.empty() || step_.gates[static_cast<size_t>(head)] != 0;
}

// Read from the CPU's layout.
double AttentionStep::element(bool is_key, int32_t kv_head, int32_t sequence, int32_t index, int32_t dim) const {
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
    const int32_t at = is_key ? (offset - lane) * dims + dim / 4 * 64 + lane * 4 + dim % 4 : offset * dims + dim;
    return static_cast<int8_t>(member[values + at]) * half(scales + 2 * offset);
  }
  const int32_t b = dim % 16;
  const int32_t at = is_key ? (offset - lane) * dims / 2 + dim / 32 * 256 + b / 4 * 64 + lane * 4 + b % 4
                            : offset * dims / 2 + dim / 32 * 16 + b;
  const int q = (member[values + at] >> (dim % 32 < 16 ? 0 : 4) & 15) - 8;
  return q * half(scales + 2 * ((offset - lane) * (dims / 32) + dim / 32 * 16 + lane));
}

double AttentionStep::score(int32_t row, int32_t head, int32_t index) const {
  const int32_t kv_head = head / step_.heads_per_kv;
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  const CacheRange& range = ranges_[static_cast<size_t>(g * rows_ + row)];
  const std::vector<uint16_t>& q = index < range.sink_tokens ? sink_queries_ : queries_;
  double sum = 0;
  for (int32_t d = 0; d < step_.head_dim; ++d)
    sum += half_value(q[static_cast<size_t>((int64_t{row} * query_heads_ + head) * layout_.head_dim + d)]) *
           element(true, kv_head, sequence_of_[static_cast<size_t>(row)], index, d);
  return sum;
}

void AttentionStep::expect(int32_t row, int32_t head, std::vector<double>* value, std::vector<double>* size) const {
  value->assign(static_cast<size_t>(step_.head_dim), 0.0);
  size->assign(static_cast<size_t>(step_.head_dim), 0.0);
  const int32_t kv_head = head / step_.heads_per_kv;
  const int32_t g = step_.groups[static_cast<size_t>(kv_head)];
  if (g < 0 || !is_open(head)) return;
  const CacheRange& range = ranges_[static_cast<size_t>(g * rows_ + row)];
  std::vector<int32_t> read;
  std::vector<double> scores;
  for (int32_t index = 0; index < range.end; ++index) {
    if (index >= range.sink_tokens && index < range.window_start) continue;
    read.push_back(index);
    scores.push_back(score(row, head, index));
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - largest);
  for (size_t i = 0; i < read.size(); ++i) {
    for (int32_t d = 0; d < step_.head_dim; ++d) {
      const double v =
          scores[i] / sum * element(false, kv_head, sequence_of_[static_cast<size_t>(row)], read[i], d);
      (*value)[static_cast<size_t>(d)] += v;
      (*size)[static_cast<size_t>(d)] += std::fabs(v);
    }
  }
}

void AttentionStep::check(const std::vector<uint16_t>& attended, double tolerance, const std::string& what) const {
  if (attended.size() != static_cast<size_t>(rows_) * static_cast<size_t>(row_width())) {
    return report_failure(__FILE__, __LINE__, what + ": no result");
  }
  std::vector<double> value, size;
  for (int32_t i = 0; i < rows_ * query_heads_; ++i) {
    expect(i / query_heads_, i % query_heads_, &value, &size);
    for (int32_t d = 0; d < step_.head_dim; ++d) {
      const double got = half_value(attended[static_cast<size_t>(i * step_.head_dim + d)]);
      const double allowed = tolerance * size[static_cast<size_t>(d)];
      if (std::fabs(got - value[static_cast<size_t>(d)]) <= allowed) continue;
      return report_failure(__FILE__, __LINE__,
                            what + ": row " + std::to_string(i / query_heads_) + " head " +
                                std::to_string(i % query_heads_) + " dim " + std::to_string(d) + " is " +
                                std::to_string(got) + ", expected " +
                                std::to_string(value[static_cast<size_t>(d)]) + " +- " + std::to_string(allowed));
    }
  }
}

std::vector<uint16_t> AttentionStep::run(const LaunchCase& launch) const {
  std::vector<int32_t> rows(static_cast<size_t>(rows_));
  std::iota(rows.begin(), rows.end(), 0);
  return run_rows(launch, rows);
}

std::vector<uint16_t> AttentionStep::run_rows(const LaunchCase& launch, const std::vector<int32_t>& rows) const {
  std::vector<uint16_t> attended;
  const int32_t c = layout_.head_dim > 128 ? 2 : 1;
  const std::string kernel = "attention_" + std::to_string(launch.m) + "_" + std::to_string(c);
  const air::emulator::Result result =
      launch_rows(kernel.c_str(), launch, rows, air::emulator::Order::kForward, &attended);
  if (!result.ok()) report_failure(__FILE__, __LINE__, step_.name + ": " + result.message);
  return result.ok() ? attended : std::vector<uint16_t>();
}

air::emulator::Result AttentionStep::launch(const char* kernel, const LaunchCase& launch,
                                            air::emulator::Order order) const {
  std::vector<int32_t> rows(static_cast<size_t>(rows_));
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<uint16_t> attended;
  return launch_rows(kernel, launch, rows, order, &attended);
}

air::emulator::Result AttentionStep::launch_rows(const char* kernel, const LaunchCase& launch,
                                                 const std::vector<int32_t>& rows, air::emulator::Order order,
                                                 std::vector<uint16_t>* attended) const {
  const auto row_count = static_cast<int32_t>(rows.size());
  std::vector<int32_t> sequences;
  for (const int32_t row : rows) sequences.push_back(sequence_of_[static_cast<size_t>(row)]);
  const int32_t capacity = launch.m * air::cuda::kMmaQueries;
  const int32_t fitting = std::max(capacity / step_.heads_per_kv, 1);
  std::vector<air::cuda::AttentionTile> tiles(rows.size());
  const int32_t tile_count = air::cuda::make_attention_tiles(
      sequences.data(), row_count, launch.tile_rows == 0 ? fitting : launch.tile_rows, tiles.data());
  std::vector<KvMember> members;
  for (int32_t head = 0; head < kv_heads_; ++head) {
    const int32_t g = step_.groups[static_cast<size_t>(head)];
    KvMember member = {nullptr, 0, g, head * step_.heads_per_kv, step_.heads_per_kv, 0};
    if (g >= 0) {
      member.pages = groups_[g].memory->data() + (1 + head / 2 % 2) * layout_.member_bytes;
      member.page_stride = groups_[g].page_bytes;
    }
    members.push_back(member);
  }
  const int32_t slots = ceil_div(table_pages_ * step_.page_tokens, air::cuda::kSplitTokens) + 3;
  const size_t queries = static_cast<size_t>(slots) * static_cast<size_t>(row_count * query_heads_);
  const bool splits = launch.split_lanes > 0;
  DeviceArray<uint16_t> q("queries", queries_), sink_q("sink queries", sink_queries_);
  DeviceArray<uint16_t> out("attended", static_cast<size_t>(row_count * row_width()));
  DeviceArray<air::cuda::AttentionTile> tile_list("tiles", tiles);
  DeviceArray<int32_t> counts("counts", std::vector<int32_t>{tile_count, row_count});
  DeviceArray<int32_t> row_tokens("row tokens", rows), tables("page tables", tables_);
  DeviceArray<CacheRange> ranges("ranges", ranges_);
  DeviceArray<uint8_t> gates("gates", step_.gates);
  DeviceArray<KvMember> member_list("members", members);
  DeviceArray<float> partials("partials", splits ? queries * static_cast<size_t>(layout_.head_dim) : 1);
  DeviceArray<air::cuda::PartialStats> stats("stats", splits ? queries : 1);
  AttentionParams params = {};
  params.queries = q.data();
  params.sink_queries = step_.sinks > 0 ? sink_q.data() : nullptr;
  params.attended = out.data();
  params.tiles = tile_list.data();
  params.tile_count = counts.data();
  params.row_count = counts.data() + 1;
  params.row_tokens = row_tokens.data();
  params.ranges = ranges.data();
  params.page_tables = tables.data();
  params.gates = step_.gates.empty() ? nullptr : gates.data();
  params.members = member_list.data();
  params.kv_heads = kv_heads_;
  params.query_heads = query_heads_;
  params.range_stride = rows_;
  params.head_dim = step_.head_dim;
  params.padded_dim = layout_.head_dim;
  params.key_type = layout_.key_type;
  params.value_type = layout_.value_type;
  params.page_tokens = layout_.page_tokens;
  params.values_offset = static_cast<int32_t>(layout_.values_offset);
  params.key_scales_offset = static_cast<int32_t>(layout_.key_scales_offset);
  params.value_scales_offset = static_cast<int32_t>(layout_.value_scales_offset);
  params.head_parts = ceil_div(step_.heads_per_kv, capacity);
  params.stages = launch.stages;
  params.split_lanes = launch.split_lanes;
  params.split_slots = slots;
  params.partial_rows = row_count;
  params.partials = partials.data();
  params.stats = stats.data();
  // One tile more than there is: the grid is that of a bucket.
  air::cuda::LaunchShape shape;
  shape.grid_x = static_cast<uint32_t>(splits ? launch.split_lanes : 1);
  shape.grid_y = static_cast<uint32_t>(kv_heads_ * params.head_parts);
  shape.grid_z = static_cast<uint32_t>(tile_count + 1);
  shape.threads = air::cuda::kAttentionThreads;
  shape.shared_bytes =
      static_cast<uint32_t>(air::cuda::plan_shared(params, launch.m, layout_.head_dim > 128 ? 2 : 1).bytes);
  const AttentionKernel run = find_attention_kernel(kernel);
  air::emulator::Result result = launch_kernel(kernel, run, shape, order, params);
  if (result.ok() && splits) {
    air::cuda::LaunchShape merge;
    merge.grid_x = static_cast<uint32_t>(row_count + 1);
    merge.grid_y = static_cast<uint32_t>(query_heads_);
    merge.threads = air::cuda::kAttentionThreads;
    merge.shared_bytes = sizeof(air::cuda::MergeMemory);
    result = launch_kernel("merge_attention", &merge_attention, merge, order, params);
  }
  *attended = out.download();
  return result;
}

}  // namespace air_test
