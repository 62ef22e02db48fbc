// The attention of a step launched in the emulator, or on a device.
#include <algorithm>
#include <numeric>

#include "kernels/cuda/attention_shared.h"
#include "test/kernels/support/attention_kernels.h"
#include "test/kernels/support/attention_step.h"

namespace air_test {

namespace {

using air::cuda::KvMember;

constexpr air::emulator::Order kForward = air::emulator::Order::kForward;

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

}  // namespace

// What a launch reads and writes besides the pages.
struct AttentionStep::Memory {
  DeviceArray<uint16_t> queries, sink_queries, attended;
  DeviceArray<air::cuda::AttentionTile> tiles;
  DeviceArray<int32_t> counts, row_tokens, tables;
  DeviceArray<air::cuda::CacheRange> ranges;
  DeviceArray<uint8_t> gates;
  DeviceArray<KvMember> members;
  DeviceArray<float> partials;
  DeviceArray<air::cuda::PartialStats> stats;
};

std::vector<KvMember> AttentionStep::members() const {
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
  return members;
}

// What does not depend on the launch.
air::cuda::AttentionParams AttentionStep::make_params(const Memory& memory) const {
  air::cuda::AttentionParams params = {};
  params.queries = memory.queries.data();
  params.sink_queries = step_.sinks > 0 ? memory.sink_queries.data() : nullptr;
  params.attended = memory.attended.data();
  params.tiles = memory.tiles.data();
  params.tile_count = memory.counts.data();
  params.row_count = memory.counts.data() + 1;
  params.row_tokens = memory.row_tokens.data();
  params.ranges = memory.ranges.data();
  params.page_tables = memory.tables.data();
  params.gates = step_.gates.empty() ? nullptr : memory.gates.data();
  params.members = memory.members.data();
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
  params.partials = memory.partials.data();
  params.stats = memory.stats.data();
  return params;
}

std::vector<uint16_t> AttentionStep::run(const LaunchCase& launch) const {
  std::vector<int32_t> rows(static_cast<size_t>(rows_));
  std::iota(rows.begin(), rows.end(), 0);
  return run_rows(launch, rows);
}

std::vector<uint16_t> AttentionStep::run_rows(const LaunchCase& launch,
                                              const std::vector<int32_t>& rows) const {
  const int32_t c = layout_.head_dim > 128 ? 2 : 1;
  const std::string kernel = "attention_" + std::to_string(launch.m) + "_" + std::to_string(c);
  std::vector<uint16_t> attended;
  const air::emulator::Result result = launch_rows(kernel.c_str(), launch, rows, &attended);
  if (result.ok()) return attended;
  report_failure(__FILE__, __LINE__, step_.name + ": " + result.message);
  return {};
}

air::emulator::Result AttentionStep::run_kernel(const char* kernel, const LaunchCase& launch,
                                                std::vector<uint16_t>* attended) const {
  std::vector<int32_t> rows(static_cast<size_t>(rows_));
  std::iota(rows.begin(), rows.end(), 0);
  return launch_rows(kernel, launch, rows, attended);
}

air::emulator::Result AttentionStep::launch_rows(const char* kernel, const LaunchCase& launch,
                                                 const std::vector<int32_t>& rows,
                                                 std::vector<uint16_t>* attended) const {
  const auto row_count = static_cast<int32_t>(rows.size());
  std::vector<int32_t> sequences;
  for (const int32_t row : rows) sequences.push_back(sequence_of_[static_cast<size_t>(row)]);
  const int32_t capacity = launch.m * air::cuda::kMmaQueries;
  const int32_t fitting = std::max(capacity / step_.heads_per_kv, 1);
  std::vector<air::cuda::AttentionTile> tiles(rows.size());
  const int32_t tile_count = air::cuda::make_attention_tiles(
      sequences.data(), row_count, launch.tile_rows == 0 ? fitting : launch.tile_rows, tiles.data());
  const int32_t slots = ceil_div(table_pages_ * step_.page_tokens, air::cuda::kSplitTokens) + 3;
  const bool splits = launch.split_lanes > 0;
  const size_t queries = splits ? static_cast<size_t>(slots * row_count * query_heads_) : 1;
  const Memory memory = {{"queries", queries_},
                         {"sink queries", sink_queries_},
                         {"attended", static_cast<size_t>(row_count * row_width())},
                         {"tiles", tiles},
                         {"counts", std::vector<int32_t>{tile_count, row_count}},
                         {"row tokens", rows},
                         {"page tables", tables_},
                         {"ranges", ranges_},
                         {"gates", step_.gates.empty() ? std::vector<uint8_t>{0} : step_.gates},
                         {"members", members()},
                         {"partials", queries * static_cast<size_t>(layout_.head_dim)},
                         {"stats", queries}};
  air::cuda::AttentionParams params = make_params(memory);
  params.head_parts = ceil_div(step_.heads_per_kv, capacity);
  params.stages = launch.stages;
  params.split_lanes = launch.split_lanes;
  params.split_slots = slots;
  params.partial_rows = row_count;
  // One tile and one row more than there are: grids are those of a bucket.
  air::cuda::LaunchShape shape;
  shape.grid_x = static_cast<uint32_t>(splits ? launch.split_lanes : 1);
  shape.grid_y = static_cast<uint32_t>(kv_heads_ * params.head_parts);
  shape.grid_z = static_cast<uint32_t>(tile_count + 1);
  shape.threads = air::cuda::kAttentionThreads;
  shape.shared_bytes =
      static_cast<uint32_t>(air::cuda::plan_shared(params, launch.m, layout_.head_dim > 128 ? 2 : 1).bytes);
  const AttentionKernel attend = find_attention_kernel(kernel);
  air::emulator::Result result = launch_kernel(kernel, attend, shape, launch.order, params);
  if (result.ok() && splits) {
    const air::cuda::LaunchShape merge = {static_cast<uint32_t>(row_count + 1),
                                          static_cast<uint32_t>(query_heads_), 1,
                                          air::cuda::kAttentionThreads, sizeof(air::cuda::MergeMemory)};
    result = launch_kernel("merge_attention", merge_attention, merge, launch.order, params);
  }
  *attended = memory.attended.download();
  return result;
}

air::emulator::Result AttentionStep::run_page_mass(std::vector<float>* out) const {
  const auto sequences = static_cast<int32_t>(step_.sequences.size());
  const size_t cells = static_cast<size_t>(2 * sequences * table_pages_);
  std::vector<int32_t> last_rows;
  for (int32_t row = 0; row < rows_; ++row) {
    if (row + 1 == rows_ ||
        sequence_of_[static_cast<size_t>(row + 1)] != sequence_of_[static_cast<size_t>(row)])
      last_rows.push_back(row);
  }
  const Memory memory = {{"queries", queries_},
                         {"sink queries", sink_queries_},
                         {"attended", size_t{1}},
                         {"tiles", size_t{1}},
                         {"counts", std::vector<int32_t>{sequences}},
                         {"last tokens", last_rows},
                         {"page tables", tables_},
                         {"ranges", ranges_},
                         {"gates", step_.gates.empty() ? std::vector<uint8_t>{0} : step_.gates},
                         {"members", members()},
                         {"partials", size_t{1}},
                         {"stats", size_t{1}}};
  const DeviceArray<air::cuda::PartialStats> scores(
      "scores", static_cast<size_t>(query_heads_ * sequences * table_pages_));
  const DeviceArray<float> mass("mass", std::vector<float>(static_cast<size_t>(query_heads_) * cells),
                                WritableArray<float>());
  const DeviceArray<float> result_memory("out", cells);
  air::cuda::PageMassParams params = {};
  params.attention = make_params(memory);
  params.sequence_count = memory.counts.data();
  params.last_tokens = memory.row_tokens.data();
  params.sequences = sequences;
  params.groups = 2;
  params.table_pages = table_pages_;
  params.mass_heads = query_heads_;
  params.scores = scores.data();
  params.mass = mass.data();
  params.out = result_memory.data();
  air::cuda::LaunchShape shape = {static_cast<uint32_t>(query_heads_), static_cast<uint32_t>(sequences + 1),
                                  1, air::cuda::kPageMassThreads,
                                  air::cuda::kPageMassThreads * sizeof(float)};
  air::emulator::Result result = launch_kernel("add_page_mass", add_page_mass, shape, kForward, params);
  if (!result.ok()) return result;
  shape.grid_x = static_cast<uint32_t>(sequences);
  shape.grid_y = 2;
  result = launch_kernel("finish_page_mass", finish_page_mass, shape, kForward, params);
  *out = result_memory.download();
  return result;
}

}  // namespace air_test
