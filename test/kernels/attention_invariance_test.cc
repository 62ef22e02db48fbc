// A row's attention is the same bits however it is computed: alone or with others, by whole tiles or merged splits, in
// any pages. Speculation and shared batches rest on it.
#include <cmath>

#include "test/kernels/support/attention_step.h"
#include "test/native/kernel_cases.h"

namespace air_test {
namespace {

StepCase mixed_step(AirKvType type) {
  StepCase step;
  step.name = kv_type_name(type);
  step.keys = step.values = type;
  step.heads_per_kv = 3;
  step.sequences = {{500, 9}, {100, 1}, {0, 37}};
  step.sinks = 5;
  step.window = 90;
  return step;
}

TEST(launches_do_not_show) {
  for (const AirKvType type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    const AttentionStep attention(mixed_step(type));
    const std::vector<uint16_t> expected = attention.run({1, 2, 0, 1});
    const LaunchCase launches[] = {{1, 2, 0, 0}, {2, 3, 0, 0}, {4, 2, 0, 0}, {4, 1, 0, 0}, {4, 4, 0, 0},
                                   {1, 1, 1, 1}, {2, 4, 2, 0}, {4, 3, 3, 0}, {4, 2, 9, 0}, {1, 3, 1, 0}};
    for (const LaunchCase& launch : launches) {
      const std::string what = std::string(kv_type_name(type)) + " m " + std::to_string(launch.m) +
                               " stages " + std::to_string(launch.stages) + " lanes " +
                               std::to_string(launch.split_lanes);
      CHECK_MSG(attention.run(launch) == expected, what);
    }
  }
}

TEST(orders_of_threads_do_not_show) {
  const AttentionStep attention(mixed_step(AIR_KV_INT8));
  const std::vector<uint16_t> expected = attention.run({2, 2, 0, 0});
  for (const auto order : {air::emulator::Order::kBackward, air::emulator::Order::kShuffled}) {
    CHECK(attention.run({2, 2, 0, 0, order}) == expected);
    CHECK(attention.run({2, 2, 2, 0, order}) == expected);
  }
}

TEST(other_rows_do_not_show) {
  const AttentionStep attention(mixed_step(AIR_KV_INT8));
  const std::vector<uint16_t> all = attention.run({4, 2, 0, 0});
  for (const std::vector<int32_t>& rows :
       {std::vector<int32_t>{3}, {8, 9, 46}, {0, 2, 4, 6, 8}, {10, 11, 12, 30, 31}}) {
    const std::vector<uint16_t> some = attention.run_rows({1, 3, 2, 0}, rows);
    for (size_t i = 0; i < rows.size(); ++i)
      CHECK(attention.row_of(some, static_cast<int32_t>(i)) == attention.row_of(all, rows[i]));
  }
}

// A text in one step, and each of its rows as the newest one of a step of its own.
TEST(chunks_do_not_show) {
  StepCase step = mixed_step(AIR_KV_INT8);
  step.sequences = {{250, 12}};
  const AttentionStep chunk(step);
  const std::vector<uint16_t> together = chunk.run({4, 2, 0, 0});
  for (int32_t r = 0; r < 12; r += 3) {
    step.sequences = {{250 + r, 1}};
    const AttentionStep alone(step);
    CHECK(alone.run({1, 4, 2, 0}) == chunk.row_of(together, r));
  }
}

TEST(pages_do_not_show) {
  StepCase step = mixed_step(AIR_KV_INT4);
  step.evicted = 64;
  step.sinks = 32;
  step.window = 0;
  step.sequences = {{300, 3}};
  const std::vector<uint16_t> expected = AttentionStep(step).run({});
  step.page_seed = 77;
  CHECK(AttentionStep(step).run({}) == expected);
  step.page_tokens = 16;
  CHECK(AttentionStep(step).run({}) == expected);
}

TEST(closed_heads_are_zero_and_change_no_others) {
  StepCase step = mixed_step(AIR_KV_INT8);
  step.sequences = {{130, 7}};
  step.heads_per_kv = 4;
  step.groups = {0, 1, -1, 1};
  const AttentionStep open(step);
  const std::vector<uint16_t> expected = open.run({});
  step.gates = {1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1};
  const AttentionStep gated(step);
  for (const LaunchCase& launch : {LaunchCase{1, 2, 0, 0}, LaunchCase{2, 2, 3, 0}}) {
    const std::vector<uint16_t> attended = gated.run(launch);
    CHECK_EQ(attended.size(), expected.size());
    for (size_t i = 0; i < attended.size(); ++i) {
      const size_t head = i / 64 % 16;
      const bool computed = step.gates[head] != 0 && (head < 8 || head >= 12);
      CHECK_EQ(attended[i], computed ? expected[i] : 0);
      if (computed) CHECK(expected[i] != 0);
    }
  }
}

TEST(nan_stays_in_its_row) {
  StepCase step = mixed_step(AIR_KV_F16);
  step.sequences = {{130, 5}};
  const AttentionStep sound(step);
  const std::vector<uint16_t> expected = sound.run({2, 2, 0, 0});
  step.nan_row = 2;
  const AttentionStep broken(step);
  for (const int32_t lanes : {0, 2}) {
    const std::vector<uint16_t> attended = broken.run({2, 2, lanes, 0});
    for (int32_t row = 0; row < 5; ++row) {
      if (row != 2) CHECK(broken.row_of(attended, row) == sound.row_of(expected, row));
    }
    for (const uint16_t x : broken.row_of(attended, 2)) CHECK(std::isnan(half_value(x)));
  }
}

}  // namespace
}  // namespace air_test
