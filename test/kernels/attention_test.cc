// Attention kernels against float64.
#include "test/kernels/support/attention_step.h"
#include "test/kernels/support/gpu.h"
#include "test/native/kernel_cases.h"

namespace air_test {
namespace {

// Weights, integer values times their scale and results are rounded to binary16, each by up to 2^-11 of itself. Scores
// and sums are float32, whose errors do not show beside that.
constexpr double kTolerance = 3.05 * 0x1p-11;

constexpr char kReason[] = "kernels with planted faults are compiled for the emulator only";

constexpr AirKvType kTypes[] = {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16};

void check_step(const StepCase& step, const LaunchCase& launch = {}) {
  const AttentionStep attention(step);
  const std::vector<uint16_t> attended = attention.run(launch);
  const std::string error = attention.find_error(attended, kTolerance);
  CHECK_MSG(error.empty(), step.name + ": " + error);
}

TEST(every_type_of_keys_and_values) {
  for (const AirKvType keys : kTypes) {
    for (const AirKvType values : kTypes) {
      StepCase step;
      step.name = std::string("K ") + kv_type_name(keys) + " V " + kv_type_name(values);
      step.keys = keys;
      step.values = values;
      step.sequences = {{300, 1}};
      step.sinks = 4;
      step.window = 100;
      check_step(step);
      check_step(step, {1, 3, 2, 0});
    }
  }
}

TEST(every_size_of_heads) {
  for (const AirKvType type : kTypes) {
    for (const int32_t head_dim : {20, 32, 64, 80, 96, 128, 160, 256}) {
      StepCase step;
      step.name = std::string(kv_type_name(type)) + " head_dim " + std::to_string(head_dim);
      step.head_dim = head_dim;
      step.keys = step.values = type;
      step.sequences = {{290, 2}};
      step.sinks = 3;
      step.window = 70;
      step.heads_per_kv = 3;
      const int32_t stages = type == AIR_KV_F16 && head_dim > 128 ? 1 : 2;  // what fits
      check_step(step, {1, stages, 0, 0});
      check_step(step, {2, stages, 1, 0});
    }
  }
}

TEST(lengths_around_blocks_and_splits) {
  for (const int32_t cached : {0, 1, 15, 16, 62, 63, 64, 127, 254, 255, 256, 511, 513}) {
    StepCase step;
    step.name = std::to_string(cached) + " entries before";
    step.head_dim = 32;
    step.groups = {0};
    step.sequences = {{cached, 1}, {cached, 3}};
    check_step(step);
    check_step(step, {1, 2, 3, 0});
  }
}

TEST(pages_of_any_size) {
  for (const int32_t page_tokens : {16, 48, 64, 112, 1024}) {
    StepCase step;
    step.name = std::to_string(page_tokens) + " tokens to a page";
    step.head_dim = 32;
    step.page_tokens = page_tokens;
    step.sequences = {{200, 2}, {70, 1}};
    check_step(step);
  }
}

TEST(heads_of_any_number) {
  for (const int32_t heads : {1, 5, 7, 16, 21, 71}) {
    for (const int32_t m : {1, 2, 4}) {
      StepCase step;
      step.name = std::to_string(heads) + " query heads, m " + std::to_string(m);
      step.head_dim = 32;
      step.groups = {0, -1};
      step.heads_per_kv = heads;
      step.sequences = {{66, 3}};
      check_step(step, {m, 2, 0, 0});
    }
  }
}

TEST(sinks_windows_and_gaps) {
  const struct {
    const char* name;
    int32_t cached, rows, sinks, window, evicted;
  } cases[] = {
      {"sinks within a stripe", 200, 3, 5, 40, 0},
      {"sinks of more than a block", 400, 3, 70, 40, 0},
      {"sinks of a whole block", 400, 1, 64, 130, 0},
      {"everything is a sink", 30, 2, 32, 40, 0},
      {"the window begins at the sinks", 100, 2, 6, 0, 0},
      {"the same in a later block", 100, 2, 71, 0, 0},
      {"a window without sinks", 300, 20, 0, 33, 0},
      {"a window of one", 300, 4, 0, 1, 0},
      {"a gap between sinks and window", 400, 3, 4, 60, 256},
      {"a gap and no window", 400, 3, 17, 0, 192},
      {"a gap at the start", 400, 2, 0, 0, 288},
      {"the window starts in a later block than the gap ends", 500, 2, 4, 90, 128},
      {"sinks of more than a split", 900, 2, 300, 50, 416},
  };
  for (const auto& c : cases) {
    for (const AirKvType type : kTypes) {
      StepCase step;
      step.name = std::string(c.name) + ", " + kv_type_name(type);
      step.head_dim = 32;
      step.keys = step.values = type;
      step.groups = {1};
      step.sequences = {{c.cached, c.rows}};
      step.sinks = c.sinks;
      step.window = c.window;
      step.evicted = c.evicted;
      check_step(step, {2, 3, 0, 0});
      check_step(step, {2, 2, 2, 0});
    }
  }
}

// The text is far longer than what is cached: splits take turns in the slots of partial results.
TEST(endless_text) {
  StepCase step;
  step.name = "a text of 200000 tokens";
  step.head_dim = 32;
  step.groups = {1};
  step.sequences = {{200000, 4}, {199901, 1}};
  step.sinks = 4;
  step.window = 900;
  step.evicted = 198976;
  check_step(step, {1, 4, 0, 0});
  check_step(step, {1, 4, 3, 0});
}

// More splits than merge_attention has threads.
TEST(very_many_splits) {
  StepCase step;
  step.name = "132 splits";
  step.head_dim = 32;
  step.groups = {0};
  step.heads_per_kv = 1;
  step.sequences = {{33700, 1}};
  check_step(step, {1, 4, 40, 0});
}

// One score is far above the others, in the first block, in the middle and at the end; large scores change the maximum
// often.
TEST(peaked_scores) {
  for (const float size : {0.0f, 8.0f, 60.0f}) {
    StepCase step;
    step.name = "queries times " + std::to_string(size);
    step.sequences = {{520, 2}};
    step.query_size = size;
    step.sinks = 4;
    step.window = 300;
    check_step(step);
    check_step(step, {1, 2, 4, 0});
  }
}

TEST(wrong_page_is_noticed) {
  if (gpu::skips_on_device(kReason)) return;
  StepCase step;
  step.groups = {0};
  step.sequences = {{300, 1}};
  const AttentionStep attention(step);
  std::vector<uint16_t> attended;
  const air::emulator::Result result = attention.run_kernel("attention_with_wrong_page", {}, &attended);
  CHECK(!result.ok() || !attention.find_error(attended, kTolerance).empty());
}

TEST(missing_barrier_is_noticed) {
  if (gpu::skips_on_device(kReason)) return;
  StepCase step;
  step.sequences = {{300, 1}};
  const AttentionStep attention(step);
  std::vector<uint16_t> attended;
  const air::emulator::Result result = attention.run_kernel("attention_without_barrier", {}, &attended);
  CHECK_MSG(
      result.fault == air::emulator::Fault::kRace || result.fault == air::emulator::Fault::kUninitialised,
      result.message);
}

}  // namespace
}  // namespace air_test
