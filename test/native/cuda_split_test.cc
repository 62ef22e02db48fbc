// Models of which the first layers are on the host and the others on the device.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "native/core/propose.h"
#include "test/native/support/cuda_device.h"

using air::Status;
using air::StatusCode;
using air::TensorType;
using air_test::distance;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_device_engine;
using air_test::run;
using air_test::run_or_fail;
using air_test::TinyModel;
using air_test::TinyOptions;

namespace {

constexpr int64_t kLayers = 4;
// As of cuda_outputs_test.cc; more layers.
constexpr double kTolerance = 1e-2;

TinyModel make_model(TensorType type) {
  TinyOptions options;
  options.type = type;
  options.layers = kLayers;
  return air_test::make_tiny_model(options);
}

// The whole of what a step can give.
struct Outputs {
  std::vector<float> logits, attended, hidden_squares, mass, states;
};

Outputs all_outputs(Engine& engine, const air::Batch& batch) {
  const air::DecoderSpec& spec = engine.runner->spec();
  const auto floats = [](int64_t count) { return std::vector<float>(static_cast<size_t>(count), 0.0F); };
  Outputs outputs{
      floats(batch.row_count() * spec.vocab_size), floats(spec.layers * spec.query_heads * spec.head_dim),
      floats(spec.layers * spec.feed_forward_length), floats(static_cast<int64_t>(batch.page_tables.size())),
      floats(batch.row_count() * spec.embedding_length)};
  air::StepOutput output;
  output.logits = outputs.logits.data();
  output.attended_squares = outputs.attended.data();
  output.hidden_squares = outputs.hidden_squares.data();
  output.page_mass = outputs.mass.data();
  output.hidden = outputs.states.data();
  const Status status = engine.runner->forward(batch, output);
  CHECK_MSG(status.ok(), status.message());
  return outputs;
}

}  // namespace

TEST(every_split_gives_what_the_cpu_gives) {
  const TinyModel tiny = make_model(TensorType::kF16);
  const auto tokens = air_test::random_tokens(60, tiny.spec.vocab_size);
  EngineOptions options;
  options.groups = 2;
  options.head_mask = {0, 1, air::kDroppedHead, 1, 1, 0, 0, air::kDroppedHead};
  for (int64_t first_layer = 0; first_layer < kLayers; ++first_layer) {
    air_fake_cuda_reset();
    Engine device = make_device_engine(tiny, options, first_layer);
    Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), options);
    CHECK_EQ(device.arena->bytes(), cpu.arena->bytes());
    // A graph among them.
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 30}, {30, 55}, {55, 56}, {56, 60}}) {
      air::Batch batch = make_batch(device, tokens, {{0, begin, end}});
      batch.sink_tokens = {0, 3};
      batch.window_tokens = {0, 9};
      const double error = distance(run_or_fail(device, batch), run(cpu, batch));
      CHECK_MSG(error < kTolerance, "layer " + std::to_string(first_layer) + ", from " +
                                        std::to_string(begin) + ": " + std::to_string(error));
    }
  }
}

TEST(activity_page_mass_and_states_are_of_all_layers) {
  const TinyModel tiny = make_model(TensorType::kF16);
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  for (int64_t first_layer = 0; first_layer < kLayers; ++first_layer) {
    air_fake_cuda_reset();
    Engine device = make_device_engine(tiny, {}, first_layer);
    Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), {});
    const air::Batch batch = make_batch(device, tokens, {{0, 0, 40}});
    const Outputs received = all_outputs(device, batch);
    const Outputs expected = all_outputs(cpu, batch);
    const std::string where = "layer " + std::to_string(first_layer);
    CHECK_MSG(distance(received.logits, expected.logits) < kTolerance, where);
    CHECK_MSG(distance(received.attended, expected.attended) < kTolerance, where);
    CHECK_MSG(distance(received.hidden_squares, expected.hidden_squares) < kTolerance, where);
    CHECK_MSG(distance(received.mass, expected.mass) < kTolerance, where);
    CHECK_MSG(distance(received.states, expected.states) < kTolerance, where);
  }
}

// A row has the bits of its split, whatever shares its step.
TEST(a_row_has_the_same_bits_in_every_batch_of_a_split) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_model(TensorType::kQ4_0);
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  EngineOptions options;
  options.sequences = 2;
  Engine whole = make_device_engine(tiny, options, 2);
  const auto expected = run_or_fail(whole, make_batch(whole, tokens, {{0, 0, 40}}));
  Engine pieces = make_device_engine(tiny, options, 2);
  std::vector<float> received;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 5}, {5, 38}, {38, 39}, {39, 40}}) {
    const auto part = run_or_fail(pieces, make_batch(pieces, tokens, {{1, begin, end}}));
    received.insert(received.end(), part.begin(), part.end());
  }
  CHECK(air_test::same_bits(expected, received));
}

TEST(drafts_of_a_split_are_those_of_single_steps) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_model(TensorType::kQ4_0);
  const auto tokens = air_test::random_tokens(30, tiny.spec.vocab_size);
  Engine engine = make_device_engine(tiny, {}, 1);
  Engine other = make_device_engine(tiny, {}, 1);
  air::ProposeRequest request;
  request.batch = make_batch(engine, tokens, {{0, 0, 20, 8}});
  request.batch.logit_rows = {19};
  request.counts = {5};
  std::vector<float> scratch;
  air::ProposeResult expected;
  air::ProposeResult received;
  CHECK(air::propose_by_steps(*other.runner, request, &scratch, &expected).ok());
  CHECK(engine.runner->propose(request, &received).ok());
  CHECK_EQ(received.width, int64_t{5});
  CHECK(received.tokens == expected.tokens);
}

// Pages hold what the CPU's hold, so sessions and copies know of no split.
TEST(pages_of_a_split_have_the_format_of_the_cpu) {
  air_fake_cuda_reset();
  const TinyModel tiny = make_model(TensorType::kF16);
  const auto tokens = air_test::random_tokens(34, tiny.spec.vocab_size);
  Engine device = make_device_engine(tiny, {}, 3);
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), {});
  run(cpu, make_batch(cpu, tokens, {{0, 0, 33}}));
  const std::vector<int32_t> pages = {1, 2, 3, 4};
  std::vector<uint8_t> bytes(static_cast<size_t>(4 * cpu.arena->groups()[0].page_bytes));
  const auto length = static_cast<int64_t>(bytes.size());
  CHECK(cpu.arena->read_pages(0, pages.data(), 4, bytes.data(), length).ok());
  CHECK(device.arena->write_pages(0, pages.data(), 4, bytes.data(), length).ok());
  std::vector<uint8_t> back(bytes.size());
  CHECK(device.arena->read_pages(0, pages.data(), 4, back.data(), length).ok());
  CHECK(back == bytes);
  const air::Batch next = make_batch(cpu, tokens, {{0, 33, 34}});
  CHECK(distance(run_or_fail(device, next), run(cpu, next)) < 2e-2);
  const int32_t from = 4;
  const int32_t to = 2;
  CHECK(device.arena->copy_pages(0, &from, &to, 1).ok());
  CHECK(device.arena->read_pages(0, pages.data(), 4, back.data(), length).ok());
  const auto page = static_cast<std::ptrdiff_t>(length / 4);
  CHECK(std::equal(back.begin() + page, back.begin() + 2 * page, back.begin() + 3 * page));
}

TEST(a_split_is_cancelled_on_either_side_and_leaves_nothing_when_calls_fail) {
  const TinyModel tiny = make_model(TensorType::kF32);
  const auto tokens = air_test::random_tokens(20, tiny.spec.vocab_size);
  std::vector<float> logits(static_cast<size_t>(20 * tiny.spec.vocab_size));
  const auto live = [&]() -> Status {
    Engine engine;
    AIR_RETURN_IF_ERROR(air_test::make_cuda_engine(tiny, {}, &engine, 2));
    AIR_RETURN_IF_ERROR(engine.runner->forward(make_batch(engine, tokens, {{0, 0, 18}}), {logits.data()}));
    return engine.runner->forward(make_batch(engine, tokens, {{0, 18, 19}}), {logits.data()});
  };
  {
    air_fake_cuda_reset();
    Engine engine = make_device_engine(tiny, {}, 2);
    engine.runner->cancel();
    const air::Batch batch = make_batch(engine, tokens, {{0, 0, 18}});
    CHECK(engine.runner->forward(batch, {logits.data()}).code() == StatusCode::kCancelled);
    engine.runner->clear_cancel();
    CHECK(engine.runner->forward(batch, {logits.data()}).ok());
  }
  for (const char* name : {"cuMemAlloc_v2", "cuMemAllocHost_v2", "cuMemcpyHtoDAsync_v2", "cuGraphLaunch"}) {
    air_fake_cuda_reset();
    CHECK(live().ok());
    const int64_t count = air_fake_cuda_calls(name);
    for (int64_t nth = 1; nth <= count; nth += std::max<int64_t>(count / 6, 1)) {
      air_fake_cuda_reset();
      air_fake_cuda_fail(name, static_cast<int>(nth), air::cuda::kErrorOutOfMemory);
      const Status status = live();
      const std::string where = std::string(name) + " call " + std::to_string(nth) + ": " + status.message();
      CHECK_MSG(status.code() == StatusCode::kOutOfMemory, where);
      CHECK_MSG(air_fake_cuda_live("all") == 0, where);
    }
  }
}
