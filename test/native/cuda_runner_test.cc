// Whole steps on a device: the runner, its graphs and drafting, on the fake driver, which runs the kernels.
#include <algorithm>
#include <cmath>
#include <cstring>
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

// Activations are rounded to binary16 a few times in a layer, each by at most 2^-11, and the tiny models have logits
// near each other.
constexpr double kTolerance = 6e-3;

// Types with mins have weights that are all positive here, of which the independent computation makes infinities: the
// CPU is what they are compared with, which rounds activations to 8 bits for integer weights.
constexpr double kCpuTolerance = 2e-2;

bool has_mins(TensorType type) {
  return type == TensorType::kQ4_1 || type == TensorType::kQ5_1 || type == TensorType::kQ4K ||
         type == TensorType::kQ5K;
}

std::vector<float> run_on_cpu(const TinyModel& tiny, const std::vector<int32_t>& tokens) {
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), {});
  return run(cpu, make_batch(cpu, tokens, {{0, 0, static_cast<int64_t>(tokens.size())}}));
}

}  // namespace

TEST(logits_are_those_of_an_independent_computation) {
  air_fake_cuda_reset();
  for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kQ4_0, TensorType::kQ4_1,
                                TensorType::kQ8_0, TensorType::kQ5_1}) {
    for (const bool is_tied : {false, true}) {
      TinyOptions options;
      options.type = type;
      options.tied_output = is_tied;
      options.biases = is_tied;
      options.pairing = is_tied ? AIR_ROPE_HALF : AIR_ROPE_INTERLEAVED;
      const TinyModel tiny = air_test::make_tiny_model(options);
      const auto tokens = air_test::random_tokens(21, tiny.spec.vocab_size);
      Engine engine = make_device_engine(tiny, {});
      const auto logits = run_or_fail(engine, make_batch(engine, tokens, {{0, 0, 21}}));
      const double error = has_mins(type) ? distance(logits, run_on_cpu(tiny, tokens))
                                          : distance(logits, air_test::naive_logits(tiny, tokens));
      const std::string name = std::string(air::tensor_type_info(type).name) + (is_tied ? " tied" : "");
      CHECK_MSG(error < (has_mins(type) ? kCpuTolerance : kTolerance), name + ": " + std::to_string(error));
    }
  }
}

TEST(blocks_of_256_weights_are_embedded_and_multiplied) {
  air_fake_cuda_reset();
  for (const TensorType type : {TensorType::kQ4K, TensorType::kQ5K, TensorType::kQ6K}) {
    TinyOptions options;
    options.type = type;
    options.layers = 1;
    options.embedding_length = 256;
    options.query_heads = 8;
    options.kv_heads = 4;
    options.feed_forward_length = 256;
    const TinyModel tiny = air_test::make_tiny_model(options);
    const auto tokens = air_test::random_tokens(9, tiny.spec.vocab_size);
    Engine engine = make_device_engine(tiny, {});
    const auto logits = run_or_fail(engine, make_batch(engine, tokens, {{0, 0, 9}}));
    const double error = has_mins(type) ? distance(logits, run_on_cpu(tiny, tokens))
                                        : distance(logits, air_test::naive_logits(tiny, tokens));
    CHECK_MSG(error < (has_mins(type) ? kCpuTolerance : kTolerance),
              std::string(air::tensor_type_info(type).name) + ": " + std::to_string(error));
  }
}

TEST(a_row_has_the_same_bits_in_every_batch) {
  air_fake_cuda_reset();
  TinyOptions options;
  options.type = TensorType::kQ4_0;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  for (const AirKvType kv_type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    EngineOptions engine_options;
    engine_options.kv_type = kv_type;
    engine_options.sequences = 3;
    engine_options.rotate_keys = kv_type == AIR_KV_INT4;
    Engine whole = make_device_engine(tiny, engine_options);
    const auto expected = run_or_fail(whole, make_batch(whole, tokens, {{0, 0, 40}}));
    Engine pieces = make_device_engine(tiny, engine_options);
    std::vector<float> received;
    for (const auto& [begin, end] :
         {std::pair<int64_t, int64_t>{0, 1}, {1, 2}, {2, 5}, {5, 21}, {21, 38}, {38, 39}, {39, 40}}) {
      const auto part = run_or_fail(pieces, make_batch(pieces, tokens, {{1, begin, end}}));
      received.insert(received.end(), part.begin(), part.end());
    }
    CHECK_MSG(air_test::same_bits(expected, received), "pieces, kv type " + std::to_string(kv_type));
    // Beside others.
    const auto beside = run_or_fail(whole, make_batch(whole, tokens, {{1, 0, 7}, {2, 0, 1}}));
    CHECK_MSG(std::equal(beside.begin(), beside.begin() + 7 * tiny.spec.vocab_size, expected.begin()),
              "beside others, kv type " + std::to_string(kv_type));
  }
}

TEST(sinks_windows_gates_and_dropped_heads_are_as_on_the_cpu) {
  air_fake_cuda_reset();
  TinyOptions options;
  options.type = TensorType::kF16;  // the CPU rounds activations for integer weights
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(60, tiny.spec.vocab_size);
  EngineOptions engine_options;
  engine_options.groups = 2;
  engine_options.head_mask = {0, 1, air::kDroppedHead, 1};
  Engine device = make_device_engine(tiny, engine_options);
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), engine_options);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 30}, {30, 55}, {55, 56}, {56, 60}}) {
    air::Batch batch = make_batch(device, tokens, {{0, begin, end}});
    batch.sink_tokens = {0, 3};
    batch.window_tokens = {0, 9};
    batch.query_gates = {1, 1, 0, 1, 1, 0, 1, 1};
    const auto expected = run(cpu, batch);
    const auto received = run_or_fail(device, batch);
    const double error = distance(received, expected);
    CHECK_MSG(error < kTolerance, "from " + std::to_string(begin) + ": " + std::to_string(error));
  }
}

TEST(evicted_pages_are_as_on_the_cpu) {
  air_fake_cuda_reset();
  TinyOptions options;
  options.type = TensorType::kF16;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(64, tiny.spec.vocab_size);
  EngineOptions engine_options;
  engine_options.max_context = 64;
  Engine device = make_device_engine(tiny, engine_options);
  Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), engine_options);
  const air::Batch first = make_batch(device, tokens, {{0, 0, 50}});
  CHECK(distance(run_or_fail(device, first), run(cpu, first)) < kTolerance);
  // The second page of 16 is dropped: the table's pages move up, and the text goes on.
  air::Batch next = make_batch(device, tokens, {{0, 50, 53}});
  std::vector<int32_t> table = next.page_tables;
  table.erase(table.begin() + 1);
  table.push_back(0);
  next.page_tables = table;
  next.context_lengths = {53 - 16};
  next.sink_tokens = {4};
  next.evicted_tokens = {16};
  const double error = distance(run_or_fail(device, next), run(cpu, next));
  CHECK_MSG(error < kTolerance, std::to_string(error));
}

TEST(small_steps_run_as_graphs_that_stay_until_page_tables_move) {
  air_fake_cuda_reset();
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  Engine engine = make_device_engine(tiny, {});
  const auto& runner = static_cast<const air::cuda::CudaRunner&>(*engine.runner);
  for (int64_t i = 0; i < 5; ++i) run_or_fail(engine, make_batch(engine, tokens, {{0, i, i + 1}}));
  CHECK_EQ(runner.recorded_graphs(), int64_t{1});
  CHECK_EQ(air_fake_cuda_calls("cuGraphLaunch"), int64_t{5});
  const int64_t launches = air_fake_cuda_calls("cuLaunchKernel");
  run_or_fail(engine, make_batch(engine, tokens, {{0, 5, 6}}));
  CHECK_EQ(air_fake_cuda_calls("cuLaunchKernel"), launches);
  run_or_fail(engine, make_batch(engine, tokens, {{0, 6, 9}}));
  CHECK_EQ(runner.recorded_graphs(), int64_t{2});
  // A wider page table moves the buffer: the graph is recorded anew, and the results stay right.
  air::Batch wide = make_batch(engine, tokens, {{0, 9, 10}});
  Engine other = make_device_engine(tiny, {});
  run_or_fail(other, make_batch(other, tokens, {{0, 0, 9}}));
  const auto expected = run_or_fail(other, wide);
  Engine moved = make_device_engine(tiny, {});
  for (int64_t i = 0; i < 9; ++i) run_or_fail(moved, make_batch(moved, tokens, {{0, i, i + 1}}));
  wide.page_tables.resize(1000, 0);
  CHECK(air_test::same_bits(run_or_fail(moved, wide), expected));
  CHECK_EQ(static_cast<const air::cuda::CudaRunner&>(*moved.runner).recorded_graphs(), int64_t{2});
}

TEST(drafts_are_those_of_single_steps_with_one_wait) {
  air_fake_cuda_reset();
  TinyOptions options;
  options.type = TensorType::kQ4_0;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(30, tiny.spec.vocab_size);
  EngineOptions engine_options;
  engine_options.sequences = 3;
  const std::vector<air_test::Piece> pieces = {{0, 0, 20, 8}, {1, 0, 3, 8}, {2, 0, 9, 8}};
  air::ProposeRequest request;
  Engine stepping = make_device_engine(tiny, engine_options);
  request.batch = make_batch(stepping, tokens, pieces);
  request.batch.logit_rows = {19, 22, 31};
  request.counts = {5, 1, 7};
  std::vector<float> scratch;
  air::ProposeResult expected;
  CHECK(air::propose_by_steps(*stepping.runner, request, &scratch, &expected).ok());
  Engine chained = make_device_engine(tiny, engine_options);
  for (int round = 0; round < 2; ++round) {
    const int64_t waits = air_fake_cuda_calls("cuStreamSynchronize");
    air::ProposeResult received;
    const Status status = chained.runner->propose(request, &received);
    CHECK_MSG(status.ok(), status.message());
    CHECK_EQ(received.width, expected.width);
    CHECK(received.tokens == expected.tokens);
    for (size_t i = 0; i < expected.confidence.size(); ++i)
      CHECK(std::fabs(received.confidence[i] - expected.confidence[i]) < 1e-5F);
    // Buffers grow in the first round.
    if (round > 0) CHECK_EQ(air_fake_cuda_calls("cuStreamSynchronize") - waits, int64_t{1});
  }
  // A draft that is not sure ends early.
  request.min_confidence = expected.confidence[0] * 0.999F;
  air::ProposeResult cut;
  CHECK(chained.runner->propose(request, &cut).ok());
  CHECK_EQ(cut.tokens[0], expected.tokens[0]);
  CHECK(air::propose_by_steps(*stepping.runner, request, &scratch, &expected).ok());
  CHECK(cut.tokens == expected.tokens);
}

TEST(pages_come_and_go_in_the_format_of_the_cpu) {
  air_fake_cuda_reset();
  TinyOptions options;
  options.type = TensorType::kF16;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(34, tiny.spec.vocab_size);
  for (const AirKvType kv_type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    EngineOptions engine_options;
    engine_options.kv_type = kv_type;
    Engine device = make_device_engine(tiny, engine_options);
    Engine cpu = air_test::make_engine(tiny, air_test::best_kernels(), engine_options);
    const air::Batch first = make_batch(cpu, tokens, {{0, 0, 33}});
    run(cpu, first);
    const std::vector<int32_t> pages = {1, 2, 3, 4};
    std::vector<uint8_t> bytes(static_cast<size_t>(4 * cpu.arena->groups()[0].page_bytes));
    const auto length = static_cast<int64_t>(bytes.size());
    CHECK(cpu.arena->read_pages(0, pages.data(), 4, bytes.data(), length).ok());
    CHECK(device.arena->write_pages(0, pages.data(), 4, bytes.data(), length).ok());
    std::vector<uint8_t> back(bytes.size());
    CHECK(device.arena->read_pages(0, pages.data(), 4, back.data(), length).ok());
    CHECK(back == bytes);
    const air::Batch next = make_batch(cpu, tokens, {{0, 33, 34}});
    const double error = distance(run_or_fail(device, next), run(cpu, next));
    // The CPU multiplies int8 queries, which is what differs most.
    CHECK_MSG(error < 2e-2, std::to_string(kv_type) + ": " + std::to_string(error));
    const int32_t from = 4;
    const int32_t to = 2;
    CHECK(device.arena->copy_pages(0, &from, &to, 1).ok());
    CHECK(device.arena->read_pages(0, pages.data(), 4, back.data(), length).ok());
    const auto page = static_cast<size_t>(length / 4);
    CHECK(std::memcmp(back.data() + page, back.data() + 3 * page, page) == 0);
  }
}

TEST(a_cancelled_step_says_so_and_the_next_one_runs) {
  air_fake_cuda_reset();
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  Engine engine = make_device_engine(tiny, {});
  std::vector<float> logits(static_cast<size_t>(40 * tiny.spec.vocab_size));
  const air::Batch batch = make_batch(engine, tokens, {{0, 0, 40}});
  engine.runner->cancel();
  CHECK(engine.runner->forward(batch, {logits.data()}).code() == StatusCode::kCancelled);
  engine.runner->clear_cancel();
  CHECK(engine.runner->forward(batch, {logits.data()}).ok());
}

TEST(every_failing_call_of_a_step_is_a_typed_error_and_leaves_nothing_behind) {
  TinyOptions options;
  options.layers = 1;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = air_test::random_tokens(20, tiny.spec.vocab_size);
  std::vector<float> logits(static_cast<size_t>(20 * tiny.spec.vocab_size));
  const auto live = [&]() -> Status {
    Engine engine;
    AIR_RETURN_IF_ERROR(air_test::make_cuda_engine(tiny, {}, &engine));
    AIR_RETURN_IF_ERROR(engine.runner->forward(make_batch(engine, tokens, {{0, 0, 18}}), {logits.data()}));
    AIR_RETURN_IF_ERROR(engine.runner->forward(make_batch(engine, tokens, {{0, 18, 19}}), {logits.data()}));
    air::ProposeRequest request;
    request.batch = make_batch(engine, tokens, {{0, 19, 20, 4}});
    request.counts = {2};
    air::ProposeResult result;
    return engine.runner->propose(request, &result);
  };
  air_fake_cuda_reset();
  const Status whole = live();
  CHECK_MSG(whole.ok(), whole.message());
  CHECK_EQ(air_fake_cuda_live("all"), int64_t{0});
  int failures = 0;
  for (const char* name :
       {"cuMemAlloc_v2", "cuMemAllocHost_v2", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2",
        "cuMemcpyDtoDAsync_v2", "cuStreamSynchronize", "cuLaunchKernel", "cuStreamBeginCapture_v2",
        "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch", "kernel"}) {
    air_fake_cuda_reset();
    CHECK(live().ok());
    // The last wait is that of the runner's end, which has nobody to tell.
    const int64_t count = air_fake_cuda_calls(name) - (std::string(name) == "cuStreamSynchronize" ? 1 : 0);
    CHECK_MSG(count > 0, name);
    // All of a few calls, and of many the first, some between and the last.
    const int64_t step = std::max<int64_t>(count / 6, 1);
    for (int64_t nth = 1; nth <= count; nth += nth + step > count && nth < count ? count - nth : step) {
      air_fake_cuda_reset();
      const bool is_lost = std::string(name) == "kernel" || nth % 2 == 0;
      air_fake_cuda_fail(name, static_cast<int>(nth),
                         is_lost ? air::cuda::kErrorLaunchFailed : air::cuda::kErrorOutOfMemory);
      const Status status = live();
      const std::string where = std::string(name) + " call " + std::to_string(nth) + ": " + status.message();
      CHECK_MSG(status.code() == (is_lost ? StatusCode::kDevice : StatusCode::kOutOfMemory), where);
      CHECK_MSG(status.message().rfind("expected ", 0) == 0, where);
      CHECK_MSG(air_fake_cuda_live("all") == 0, where);
      ++failures;
    }
  }
  CHECK(failures > 40);
  air_fake_cuda_reset();
  CHECK(live().ok());
}
