// Page mass on the device against float64.
#include <cmath>

#include "test/kernels/support/attention_step.h"
#include "test/native/kernel_cases.h"

namespace air_test {
namespace {

void check_mass(const StepCase& step) {
  const AttentionStep attention(step);
  std::vector<float> mass;
  const air::emulator::Result result = attention.run_page_mass(&mass);
  CHECK_MSG(result.ok(), step.name + ": " + result.message);
  const std::vector<double> expected = attention.expect_page_mass();
  CHECK_EQ(mass.size(), expected.size());
  for (size_t i = 0; i < mass.size() && i < expected.size(); ++i) {
    // Scores, sums and quotients in float32.
    if (std::fabs(double{mass[i]} - expected[i]) <= 1e-5 * expected[i] + 1e-9) continue;
    return report_failure(__FILE__, __LINE__,
                          step.name + ": cell " + std::to_string(i) + " is " + std::to_string(mass[i]) +
                              ", expected " + std::to_string(expected[i]));
  }
}

TEST(every_type_of_keys) {
  for (const AirKvType type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    StepCase step;
    step.name = kv_type_name(type);
    step.keys = type;
    step.sequences = {{300, 1}, {40, 3}};
    step.sinks = 5;
    step.window = 100;
    step.query_size = 2.0f;
    check_mass(step);
  }
}

TEST(gaps_gates_and_pages) {
  StepCase step;
  step.name = "gaps and gates";
  step.head_dim = 80;
  step.page_tokens = 48;
  step.heads_per_kv = 3;
  step.groups = {1, 0, -1, 1};
  step.sequences = {{400, 2}, {330, 1}};
  step.sinks = 20;
  step.evicted = 96;
  step.gates = {1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1};
  check_mass(step);
}

TEST(more_pages_than_threads) {
  StepCase step;
  step.name = "150 pages";
  step.head_dim = 32;
  step.page_tokens = 16;
  step.groups = {0};
  step.sequences = {{2400, 1}};
  check_mass(step);
}

}  // namespace
}  // namespace air_test
