// The forward pass: against an independent computation, and against itself in other batches.
#include "native/core/runner.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "native/core/cpu_runner.h"
#include "native/core/isa.h"
#include "test/native/check.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air::Batch;
using air::Status;
using air::StatusCode;
using air::TensorType;
using air_test::best_kernels;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::HeadRules;
using air_test::make_batch;
using air_test::make_engine;
using air_test::page_of;
using air_test::random_tokens;
using air_test::run;
using air_test::same_bits;
using air_test::TinyModel;
using air_test::TinyOptions;
using air_test::Visibility;

// Logits of one sequence computed in chunks of `chunk` tokens.
std::vector<float> run_chunks(Engine& engine, const std::vector<int32_t>& tokens, int64_t chunk) {
  std::vector<float> all;
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const std::vector<float> logits =
        run(engine, make_batch(engine, tokens, {{0, begin, std::min(begin + chunk, count)}}));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

// Float32 weights, float16 KV and float32 sums against double precision: the float16 rounding of keys and
// values (2^-11 each) dominates, over two layers. In units of the logits' root mean square, 1 at least.
constexpr double kNaiveTolerance = 6e-3;

// expected may hold more positions than actual: the last ones are compared.
void check_close(const std::vector<float>& actual, const std::vector<double>& expected,
                 const std::string& what) {
  const size_t from = expected.size() - actual.size();
  double worst = 0;
  double squares = 0;
  for (size_t i = from; i < expected.size(); ++i) {
    const double error = std::fabs(actual[i - from] - expected[i]);
    worst = error > worst || std::isnan(error) ? error : worst;
    squares += expected[i] * expected[i];
  }
  const double unit = std::max(1.0, std::sqrt(squares / static_cast<double>(actual.size())));
  CHECK_MSG(worst < kNaiveTolerance * unit, what + ": largest error " + std::to_string(worst / unit));
}

TinyOptions two_groups_options() {
  TinyOptions options;
  options.kv_heads = 2;
  options.query_heads = 6;
  return options;
}

}  // namespace

TEST(matches_a_naive_decoder) {
  struct Variant {
    const char* name;
    TinyOptions options;
  };
  std::vector<Variant> variants = {{"plain", {}},
                                   {"rope in halves", {}},
                                   {"biases", {}},
                                   {"tied output", {}},
                                   {"one KV head per query head", {}},
                                   {"partial rope", {}},
                                   {"padded head", {}},
                                   {"attention factor", {}},
                                   {"17 query heads per KV head", {}}};
  variants[1].options.pairing = AIR_ROPE_HALF;
  variants[2].options.biases = true;
  variants[3].options.tied_output = true;
  variants[4].options.kv_heads = 4;
  variants[5].options.rope_dims = 16;
  variants[6].options.head_dim = 24;
  variants[6].options.rope_dims = 24;
  variants[7].options.rope_attention_factor = 1.2;
  variants[8].options.query_heads = 17;
  variants[8].options.kv_heads = 1;
  for (const Variant& variant : variants) {
    const TinyModel tiny = air_test::make_tiny_model(variant.options);
    const auto tokens = random_tokens(40, tiny.spec.vocab_size);
    Engine engine = make_engine(tiny, best_kernels(), {});
    check_close(run_chunks(engine, tokens, 40), air_test::naive_logits(tiny, tokens), variant.name);
  }
}

// Asked for in one step: logits of the first two rows, states of all four.
TEST(hidden_states_match_a_naive_decoder_beside_logits_of_some_rows) {
  for (const TensorType type : {TensorType::kF32, TensorType::kQ4_0}) {
    TinyOptions options;
    options.type = type;
    const TinyModel tiny = air_test::make_tiny_model(options);
    const auto tokens = random_tokens(40, tiny.spec.vocab_size);
    Engine engine = make_engine(tiny, best_kernels(), {});
    Batch batch = make_batch(engine, tokens, {{0, 0, 40}});
    const std::vector<float> all = run(engine, batch);
    batch.logit_rows = {3, 7, 20, 39};
    const std::vector<float> four = run(engine, batch);
    const auto width = static_cast<size_t>(tiny.spec.embedding_length);
    std::vector<float> hidden(4 * width, NAN);
    std::vector<float> logits(four.size(), 5.0F);
    air::StepOutput output;
    output.logits = logits.data();
    output.logit_count = 2;
    output.hidden = hidden.data();
    const Status status = engine.runner->forward(batch, output);
    CHECK_MSG(status.ok(), status.message());
    const auto half = static_cast<std::ptrdiff_t>(four.size() / 2);
    CHECK(same_bits({logits.begin(), logits.begin() + half}, {four.begin(), four.begin() + half}));
    CHECK(std::all_of(logits.begin() + half, logits.end(), [](float value) { return value == 5.0F; }));
    std::vector<float> none(4 * width, NAN);
    output.logits = nullptr;
    output.logit_count = 0;
    output.hidden = none.data();
    CHECK(engine.runner->forward(batch, output).ok());
    CHECK(same_bits(none, hidden));
    if (type != TensorType::kF32) continue;  // rounded activations are further from exact ones
    air_test::NaiveActivity naive;
    air_test::naive_logits(tiny, tokens, {}, 0, &naive);
    std::vector<double> expected;
    for (const int32_t row : batch.logit_rows) {
      const auto first = naive.states.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row) * width);
      expected.insert(expected.end(), first, first + static_cast<std::ptrdiff_t>(width));
    }
    check_close(hidden, expected, "hidden states");
    output.logit_count = 5;
    CHECK(engine.runner->forward(batch, output).code() == StatusCode::kArgument);
  }
}

// Every way a weight is packed. Under a sanitizer, which looks for races and bad accesses, and in an emulator,
// where other tests compare the kernels of every class, one integer and one float class do: both are ten times
// slower.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || defined(AIR_EMULATED)
constexpr TensorType kWeightTypes[] = {TensorType::kF16, TensorType::kQ4_0};
#else
constexpr TensorType kWeightTypes[] = {TensorType::kF32, TensorType::kF16, TensorType::kQ4_0,
                                       TensorType::kQ4K, TensorType::kQ6K, TensorType::kQ8_0};
#endif

TEST(rows_are_bit_identical_alone_chunked_and_batched) {
  // Past one split of 512 cached tokens, so that partial results are merged.
  constexpr int64_t kTokens = 600;
  for (const TensorType type : kWeightTypes) {
    for (const AirKvType kv_type : {AIR_KV_INT8, AIR_KV_F16, AIR_KV_INT4}) {
      TinyOptions options;
      options.type = type;
      options.layers = 1;
      if (type == TensorType::kQ4K || type == TensorType::kQ6K) {
        options.embedding_length = 256;
        options.feed_forward_length = 256;
        options.head_dim = 64;
      }
      const auto tokens = random_tokens(kTokens, options.vocab_size);
      std::vector<float> across_isas;
      for (const AirKernelTable* kernels : air::usable_kernels()) {
        options.layout = kernels->layout;
        const TinyModel tiny = air_test::make_tiny_model(options);
        const std::string what = std::string(kernels->isa) + ", " + air::tensor_type_info(type).name;
        EngineOptions engine_options;
        engine_options.max_context = kTokens;
        engine_options.kv_type = kv_type;
        engine_options.sequences = 3;
        Engine engine = make_engine(tiny, kernels, engine_options);
        const auto whole = run_chunks(engine, tokens, kTokens);
        CHECK_MSG(same_bits(whole, run_chunks(engine, tokens, 1)), what + ": token by token");
        CHECK_MSG(same_bits(whole, run_chunks(engine, tokens, 37)), what + ": chunks of 37");
        engine_options.threads = 1;
        Engine alone = make_engine(tiny, kernels, engine_options);
        CHECK_MSG(same_bits(whole, run_chunks(alone, tokens, 150)), what + ": one thread");

        // The last token of sequence 0 beside others: 550 tokens of 1 and 20 of 2.
        const Batch mixed = make_batch(engine, tokens, {{1, 0, 30}, {0, kTokens - 1, kTokens}, {2, 0, 20}});
        const auto logits = run(engine, mixed);
        const auto row = static_cast<size_t>(tiny.spec.vocab_size);
        const std::vector<float> last(whole.end() - static_cast<int64_t>(row), whole.end());
        const std::vector<float> in_batch(logits.begin() + static_cast<int64_t>(30 * row),
                                          logits.begin() + static_cast<int64_t>(31 * row));
        CHECK_MSG(same_bits(last, in_batch), what + ": beside two other sequences");

        if (across_isas.empty()) across_isas = whole;
        CHECK_MSG(same_bits(across_isas, whole), what + ": the same on every ISA");
      }
    }
  }
}

TEST(refuses_kernels_that_read_another_layout) {
  TinyOptions options;
  options.layout = best_kernels()->layout == AIR_LAYOUT_QUADS ? AIR_LAYOUT_PAIRS : AIR_LAYOUT_QUADS;
  const TinyModel tiny = air_test::make_tiny_model(options);
  std::shared_ptr<air::KvArena> arena;
  air::ArenaOptions arena_options;
  arena_options.head_mask.assign(static_cast<size_t>(tiny.spec.layers * tiny.spec.kv_heads), 0);
  arena_options.page_tokens = 16;
  arena_options.page_counts = {2};
  CHECK(air::KvArena::create(tiny.model, arena_options, &arena).ok());
  air::RunnerOptions runner_options;
  runner_options.max_tokens = runner_options.max_sequences = 1;
  std::unique_ptr<air::Runner> runner;
  const Status status = air::CpuRunner::create(*best_kernels(), arena, runner_options, &runner);
  CHECK(status.code() == air::StatusCode::kUnsupported);
  CHECK_MSG(status.message().find(best_kernels()->isa) != std::string::npos, status.message());
}

TEST(computes_only_the_asked_rows) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(30, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  const auto row = tiny.spec.vocab_size;
  const auto whole = run_chunks(engine, tokens, 30);
  Batch batch = make_batch(engine, tokens, {{0, 0, 30}});
  batch.logit_rows = {3, 17, 29};
  const auto some = run(engine, batch);
  for (size_t i = 0; i < 3; ++i) {
    const std::vector<float> expected(whole.begin() + batch.logit_rows[i] * row,
                                      whole.begin() + (batch.logit_rows[i] + 1) * row);
    const auto at = some.begin() + static_cast<int64_t>(i) * row;
    CHECK_MSG(same_bits(expected, std::vector<float>(at, at + row)),
              "row " + std::to_string(batch.logit_rows[i]));
  }
  // A step without logit rows still writes its keys and values.
  Engine silent = make_engine(tiny, best_kernels(), {});
  Batch prefix = make_batch(silent, tokens, {{0, 0, 29}});
  prefix.logit_rows.clear();
  run(silent, prefix);
  const auto last = run(silent, make_batch(silent, tokens, {{0, 29, 30}}));
  CHECK(same_bits(last, std::vector<float>(whole.end() - row, whole.end())));
}

TEST(stream_heads_read_sinks_and_window_only) {
  TinyOptions tiny_options = two_groups_options();
  const auto tokens = random_tokens(50, tiny_options.vocab_size);
  EngineOptions options;
  options.groups = 2;
  options.head_mask = {0, 1, 1, 0};  // [layers 2, kv_heads 2]
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    Engine engine = make_engine(tiny, kernels, options);
    run(engine, make_batch(engine, tokens, {{0, 0, 40}}));
    // From token 40 on, group 1 reads 3 sinks and 21 tokens.
    Batch batch = make_batch(engine, tokens, {{0, 40, 50}});
    batch.sink_tokens = {0, 3};
    batch.window_tokens = {0, 21};
    HeadRules rules;
    const Visibility stream{3, 21};
    rules.kv_heads = {{}, stream, stream, {}};
    check_close(run(engine, batch), air_test::naive_logits(tiny, tokens, rules, 40), kernels->isa);
  }
}

TEST(gated_query_heads_contribute_nothing) {
  const TinyModel tiny = air_test::make_tiny_model(two_groups_options());
  const auto tokens = random_tokens(30, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  Batch batch = make_batch(engine, tokens, {{0, 0, 30}});
  batch.query_gates = {1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1};  // [layers 2, query_heads 6]
  HeadRules rules;
  for (const uint8_t gate : batch.query_gates) rules.query_masked.push_back(gate == 0);
  check_close(run(engine, batch), air_test::naive_logits(tiny, tokens, rules), "gates");
}

TEST(dropped_kv_heads_have_no_pages_and_contribute_nothing) {
  const TinyModel tiny = air_test::make_tiny_model(two_groups_options());
  const auto tokens = random_tokens(30, tiny.spec.vocab_size);
  EngineOptions options;
  options.head_mask = {0, air::kDroppedHead, 0, 0};
  Engine engine = make_engine(tiny, best_kernels(), options);
  CHECK_EQ(engine.arena->groups()[0].members, 3);
  HeadRules rules;
  rules.kv_dropped = {false, true, false, false};
  check_close(run_chunks(engine, tokens, 7), air_test::naive_logits(tiny, tokens, rules), "dropped head");
}

TEST(a_token_without_a_slot_is_not_cached) {
  const TinyModel tiny = air_test::make_tiny_model({});
  auto tokens = random_tokens(10, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  const auto whole = run_chunks(engine, tokens, 10);
  tokens.push_back(7);
  // A probe: another token at position 10, reading the ten cached entries and writing nothing.
  Batch probe = make_batch(engine, tokens, {{0, 10, 11}});
  probe.slots = {-1};
  probe.context_lengths = {10};
  const auto first = run(engine, probe);
  CHECK(same_bits(first, run(engine, probe)));
  const auto again = run(engine, make_batch(engine, tokens, {{0, 9, 10}}));
  const std::vector<float> expected(whole.end() - tiny.spec.vocab_size, whole.end());
  CHECK(same_bits(again, expected));
}

TEST(copied_pages_read_like_their_source) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(17, tiny.spec.vocab_size);
  EngineOptions options;
  options.sequences = 2;
  Engine engine = make_engine(tiny, best_kernels(), options);
  const auto whole = run_chunks(engine, tokens, 17);
  const int32_t src = page_of(engine, 0, 0);
  const int32_t dst = page_of(engine, 1, 0);
  CHECK(engine.arena->copy_pages(0, &src, &dst, 1).ok());
  const auto copied = run(engine, make_batch(engine, tokens, {{1, 16, 17}}));
  CHECK(same_bits(copied, std::vector<float>(whole.end() - tiny.spec.vocab_size, whole.end())));
  const int32_t null_page = 0;
  CHECK(engine.arena->copy_pages(0, &src, &null_page, 1).code() == StatusCode::kPageRange);
  CHECK(engine.arena->copy_pages(1, &src, &dst, 1).code() == StatusCode::kPageRange);
}

TEST(refuses_batches_that_leave_their_bounds) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(20, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  struct Case {
    const char* name;
    StatusCode code;
    void (*spoil)(Batch&);
  };
  const Case cases[] = {
      {"token beyond the vocabulary", StatusCode::kArgument, [](Batch& b) { b.tokens[3] = 50; }},
      {"negative token", StatusCode::kArgument, [](Batch& b) { b.tokens[0] = -1; }},
      {"negative position", StatusCode::kArgument, [](Batch& b) { b.positions[2] = -1; }},
      {"fewer positions than tokens", StatusCode::kShape, [](Batch& b) { b.positions.pop_back(); }},
      {"no tokens", StatusCode::kShape, [](Batch& b) { b.tokens.clear(); }},
      {"no sequences", StatusCode::kShape, [](Batch& b) { b.sequence_starts = {}; }},
      {"sequences that do not start at 0", StatusCode::kPageRange,
       [](Batch& b) { b.sequence_starts[0] = 1; }},
      {"sequences that end early", StatusCode::kPageRange, [](Batch& b) { b.sequence_starts[1] = 19; }},
      {"an empty sequence", StatusCode::kShape,
       [](Batch& b) {
         b.sequence_starts = {0, 0, 20};
       }},
      {"missing slots", StatusCode::kShape, [](Batch& b) { b.slots.pop_back(); }},
      {"slot in the null page", StatusCode::kPageRange, [](Batch& b) { b.slots[0] = 5; }},
      {"slot past the arena", StatusCode::kPageRange, [](Batch& b) { b.slots[19] = 1 << 30; }},
      {"slot below -1", StatusCode::kPageRange, [](Batch& b) { b.slots[19] = -2; }},
      {"slot of another place in the sequence", StatusCode::kPageRange,
       [](Batch& b) { std::swap(b.slots[1], b.slots[2]); }},
      {"page past the arena", StatusCode::kPageRange, [](Batch& b) { b.page_tables[1] = 99; }},
      {"null page within the context", StatusCode::kPageRange, [](Batch& b) { b.page_tables[0] = 0; }},
      {"page tables of no length", StatusCode::kShape, [](Batch& b) { b.page_tables.clear(); }},
      {"context past the page table", StatusCode::kPageRange, [](Batch& b) { b.context_lengths[0] = 1000; }},
      {"context shorter than the tokens written", StatusCode::kPageRange,
       [](Batch& b) { b.context_lengths[0] = 5; }},
      {"negative context", StatusCode::kPageRange, [](Batch& b) { b.context_lengths[0] = -1; }},
      {"logit row past the tokens", StatusCode::kPageRange, [](Batch& b) { b.logit_rows.back() = 20; }},
      {"logit rows out of order", StatusCode::kPageRange,
       [](Batch& b) {
         b.logit_rows = {4, 4};
       }},
      {"more sinks than context", StatusCode::kPageRange, [](Batch& b) { b.sink_tokens = {21}; }},
      {"negative sinks", StatusCode::kPageRange, [](Batch& b) { b.sink_tokens = {-1}; }},
      {"a negative window", StatusCode::kPageRange, [](Batch& b) { b.window_tokens = {-1}; }},
      {"a negative number of dropped tokens", StatusCode::kPageRange,
       [](Batch& b) { b.evicted_tokens = {INT32_MIN}; }},
      {"more dropped tokens than the position", StatusCode::kPageRange,
       [](Batch& b) { b.evicted_tokens = {16}; }},
      {"dropped tokens that are no whole pages", StatusCode::kPageRange,
       [](Batch& b) { b.evicted_tokens = {7}, b.positions.assign(20, 100); }},
      {"dropped tokens and none after the pages of the sinks", StatusCode::kPageRange,
       [](Batch& b) { b.sink_tokens = {1}, b.evicted_tokens = {16}, b.positions.assign(20, 100); }},
      {"dropped tokens and a gap that overflow", StatusCode::kPageRange,
       [](Batch& b) { b.evicted_tokens = {INT32_MAX - 15}, b.window_tokens = {1}; }},
      {"a gap beyond the position", StatusCode::kPageRange,
       [](Batch& b) { b.window_tokens = {4}, std::fill(b.positions.begin(), b.positions.end(), 3); }},
      {"windows of the wrong length", StatusCode::kShape,
       [](Batch& b) {
         b.window_tokens = {0, 0};
       }},
      {"sink fields of the wrong length", StatusCode::kShape,
       [](Batch& b) {
         b.sink_tokens = {0, 0};
       }},
      {"gates of the wrong length", StatusCode::kShape, [](Batch& b) { b.query_gates = {1}; }},
  };
  std::vector<float> logits(static_cast<size_t>(20 * tiny.spec.vocab_size));
  for (const Case& bad : cases) {
    Batch batch = make_batch(engine, tokens, {{0, 0, 20}});
    bad.spoil(batch);
    const Status status = engine.runner->forward(batch, {logits.data()});
    CHECK_MSG(status.code() == bad.code, std::string(bad.name) + ": " + air::status_code_name(status.code()));
    CHECK_MSG(status.message().rfind("expected ", 0) == 0, std::string(bad.name) + ": " + status.message());
  }
}

TEST(cancel_stops_a_forward_and_the_next_one_is_right) {
  TinyOptions options;
  options.layers = 40;
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = random_tokens(64, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  const Batch batch = make_batch(engine, tokens, {{0, 0, 64}});
  std::vector<float> logits(static_cast<size_t>(64 * tiny.spec.vocab_size));
  engine.runner->cancel();
  CHECK(engine.runner->forward(batch, {logits.data()}).code() == StatusCode::kCancelled);
  engine.runner->clear_cancel();
  const auto expected = run(engine, batch);
  std::thread other([&engine] { engine.runner->cancel(); });
  const Status raced = engine.runner->forward(batch, {logits.data()});
  other.join();
  CHECK(raced.ok() || raced.code() == StatusCode::kCancelled);
  engine.runner->clear_cancel();
  CHECK(same_bits(run(engine, batch), expected));
}
