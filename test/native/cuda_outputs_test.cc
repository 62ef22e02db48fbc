// What a step on the device gives besides logits: activity, hidden states, the attention of pages.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "test/native/support/cuda_device.h"

using air::Status;
using air::StatusCode;
using air::TensorType;
using air_test::distance;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_device_engine;
using air_test::TinyModel;
using air_test::TinyOptions;

namespace {

// Activations are rounded to binary16 a few times in a layer, each by at most 2^-11.
constexpr double kTolerance = 6e-3;

TinyModel make_half_model() {
  TinyOptions options;
  options.type = TensorType::kF16;  // the CPU rounds activations for integer weights
  return air_test::make_tiny_model(options);
}

void forward_or_fail(Engine& engine, const air::Batch& batch, const air::StepOutput& output) {
  const Status status = engine.runner->forward(batch, output);
  CHECK_MSG(status.ok(), status.message());
  const std::string problem = air_fake_cuda_problem();
  CHECK_MSG(problem.empty(), problem);
}

std::vector<float> page_mass_of(Engine& engine, const air::Batch& batch, std::vector<float>* logits) {
  logits->assign(static_cast<size_t>(batch.row_count() * engine.runner->spec().vocab_size), NAN);
  std::vector<float> mass(batch.page_tables.size(), NAN);
  air::StepOutput output;
  output.logits = logits->data();
  output.page_mass = mass.data();
  forward_or_fail(engine, batch, output);
  return mass;
}

}  // namespace

TEST(activity_is_that_of_the_cpu) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_half_model();
  const auto tokens = air_test::random_tokens(12, tiny.spec.vocab_size);
  Engine device = make_device_engine(tiny, {});
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), {});
  const air::Batch batch = make_batch(device, tokens, {{0, 0, 12}});
  std::vector<float> logits(static_cast<size_t>(12 * tiny.spec.vocab_size));
  const auto squares = [&](Engine& engine) {
    std::vector<float> sums(static_cast<size_t>(2 * 128 + 2 * 96), 1.0F);
    forward_or_fail(engine, batch, {logits.data(), sums.data(), sums.data() + 2 * 128, nullptr});
    return sums;
  };
  const double error = distance(squares(device), squares(cpu));
  CHECK_MSG(error < kTolerance, std::to_string(error));
}

// Small steps are graphs otherwise, large ones are not.
TEST(hidden_states_come_beside_logits_of_the_first_rows) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_half_model();
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  for (const int64_t count : {10, 40}) {
    Engine device = make_device_engine(tiny, {});
    Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), {});
    air::Batch batch = make_batch(device, tokens, {{0, 0, count}});
    batch.logit_rows = {3, 7, static_cast<int32_t>(count - 1)};
    const std::vector<float> all = air_test::run(device, batch);
    const auto width = static_cast<size_t>(tiny.spec.embedding_length);
    const auto vocab_size = static_cast<size_t>(tiny.spec.vocab_size);
    const auto states_of = [&](Engine& engine, int64_t logit_count, float* logits) {
      std::vector<float> states(3 * width, NAN);
      air::StepOutput output;
      output.logits = logits;
      output.logit_count = logit_count;
      output.hidden = states.data();
      forward_or_fail(engine, batch, output);
      return states;
    };
    std::vector<float> logits(3 * vocab_size, 5.0F);
    const std::vector<float> states = states_of(device, 2, logits.data());
    CHECK(std::equal(logits.begin(), logits.begin() + static_cast<std::ptrdiff_t>(2 * vocab_size),
                     all.begin()));
    for (size_t i = 2 * vocab_size; i < logits.size(); ++i) CHECK_EQ(logits[i], 5.0F);
    CHECK(air_test::same_bits(states_of(device, 0, nullptr), states));
    const double error = distance(states, states_of(cpu, 0, nullptr));
    CHECK_MSG(error < kTolerance, std::to_string(count) + " tokens: " + std::to_string(error));
    air::StepOutput too_many;
    too_many.logits = logits.data();
    too_many.logit_count = 4;
    CHECK(device.runner->forward(batch, too_many).code() == StatusCode::kArgument);
  }
}

// A graph computes the logits of every row; of one that is asked for no more come back.
TEST(a_graph_gives_as_many_logits_as_are_asked_for) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_half_model();
  const auto tokens = air_test::random_tokens(6, tiny.spec.vocab_size);
  Engine device = make_device_engine(tiny, {});
  const air::Batch batch = make_batch(device, tokens, {{0, 0, 6}});
  const std::vector<float> all = air_test::run(device, batch);
  std::vector<float> some(all.size(), 5.0F);
  air::StepOutput output;
  output.logits = some.data();
  output.logit_count = 2;
  forward_or_fail(device, batch, output);
  const auto asked = static_cast<std::ptrdiff_t>(2 * tiny.spec.vocab_size);
  CHECK(std::equal(some.begin(), some.begin() + asked, all.begin()));
  for (size_t i = static_cast<size_t>(asked); i < some.size(); ++i) CHECK_EQ(some[i], 5.0F);
}

TEST(page_mass_is_that_of_the_cpu_and_leaves_the_step_as_it_is) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_half_model();
  const auto tokens = air_test::random_tokens(60, tiny.spec.vocab_size);
  EngineOptions options;
  options.groups = 2;
  options.sequences = 3;
  options.head_mask = {0, 1, air::kDroppedHead, 1};
  Engine device = make_device_engine(tiny, options);
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), options);
  Engine plain = make_device_engine(tiny, options);
  // Tables that grow from step to step, sequences beside each other, and a step that is a graph without page mass.
  const std::vector<std::vector<air_test::Piece>> steps = {
      {{0, 0, 7}}, {{0, 7, 30}, {1, 0, 40}}, {{0, 30, 31}, {1, 40, 43}}, {{2, 0, 55}}};
  for (size_t step = 0; step < steps.size(); ++step) {
    air::Batch batch = make_batch(device, tokens, steps[step]);
    const size_t count = steps[step].size();
    for (const int32_t sinks : {0, 3}) batch.sink_tokens.insert(batch.sink_tokens.end(), count, sinks);
    for (const int32_t window : {0, 20}) batch.window_tokens.insert(batch.window_tokens.end(), count, window);
    batch.query_gates = {1, 1, 0, 1, 1, 0, 1, 1};
    std::vector<float> logits;
    std::vector<float> cpu_logits;
    const std::vector<float> mass = page_mass_of(device, batch, &logits);
    const std::vector<float> expected = page_mass_of(cpu, batch, &cpu_logits);
    const double error = distance(mass, expected);
    CHECK_MSG(error < kTolerance, "step " + std::to_string(step) + ": " + std::to_string(error));
    CHECK(air_test::same_bits(logits, air_test::run(plain, batch)));
    const size_t pages = batch.page_tables.size() / (2 * count);
    for (size_t table = 0; table < 2 * count; ++table) {
      double sum = 0;
      for (size_t page = 0; page < pages; ++page) sum += static_cast<double>(mass[table * pages + page]);
      CHECK_MSG(std::fabs(sum - 1) < 1e-5, std::to_string(sum));
    }
  }
}
