// Attention by page: against the softmax of an independent computation, and beside the step it comes with.
#include "native/core/page_mass.h"

#include <cmath>
#include <string>

#include "native/core/isa.h"
#include "native/core/runner.h"
#include "test/native/check.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air::Batch;
using air_test::best_kernels;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_engine;
using air_test::random_tokens;
using air_test::run;
using air_test::same_bits;
using air_test::TinyModel;
using air_test::TinyOptions;

struct Result {
  std::vector<float> logits, mass;
};

Result run_with_mass(Engine& engine, const Batch& batch) {
  Result result;
  result.logits.resize(static_cast<size_t>(batch.row_count() * engine.runner->spec().vocab_size));
  result.mass.assign(batch.page_tables.size(), 7.0F);
  air::StepOutput output;
  output.logits = result.logits.data();
  output.page_mass = result.mass.data();
  const air::Status status = engine.runner->forward(batch, output);
  CHECK_MSG(status.ok(), status.message());
  return result;
}

double sum_of(const std::vector<float>& mass, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += double(mass[i]);
  return sum;
}

}  // namespace

TEST(page_mass_is_the_softmax_by_page) {
  constexpr int64_t kTokens = 60, kPageTokens = 16, kPages = 4;
  TinyOptions tiny_options;
  tiny_options.query_heads = 6;
  const auto tokens = random_tokens(kTokens, tiny_options.vocab_size);
  EngineOptions options;
  options.groups = 2;
  options.head_mask = {0, 1, 1, 0};                                         // [layers 2, kv_heads 2]
  const std::vector<uint8_t> gates = {1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1};  // [layers 2, query_heads 6]
  air_test::HeadRules rules;
  const air_test::Visibility stream{3, 30};
  rules.kv_heads = {{}, stream, stream, {}};
  for (const uint8_t gate : gates) rules.query_masked.push_back(gate == 0);
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    air_test::NaiveActivity naive;
    naive.attended_squares.resize(static_cast<size_t>(2 * 6 * tiny.spec.head_dim));
    naive.hidden_squares.resize(static_cast<size_t>(2 * tiny.spec.feed_forward_length));
    air_test::naive_logits(tiny, tokens, rules, 40, &naive);
    std::vector<double> expected(2 * kPages, 0.0), heads(2, 0.0);
    for (size_t head = 0; head < gates.size(); ++head) {  // of either layer
      if (gates[head] == 0) continue;
      const size_t group = options.head_mask[head / 3];
      heads[group] += 1;
      for (size_t t = 0; t < kTokens; ++t)
        expected[group * kPages + t / kPageTokens] += naive.last_attention[head * kTokens + t];
    }
    Engine engine = make_engine(tiny, kernels, options);
    run(engine, make_batch(engine, tokens, {{0, 0, 40}}));
    Batch batch = make_batch(engine, tokens, {{0, 40, kTokens}});
    batch.sink_tokens = {0, 3};
    batch.window_tokens = {0, 30};
    batch.query_gates = gates;
    batch.logit_rows = {4};  // not the last token, which counts all the same
    const Result result = run_with_mass(engine, batch);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double error = std::fabs(double(result.mass[i]) - expected[i] / heads[i / kPages]);
      CHECK_MSG(error < 2e-3, std::string(kernels->isa) + ", page " + std::to_string(i));  // float16 keys
    }
  }
}

TEST(page_mass_leaves_the_step_as_it_is_and_sums_to_one) {
  struct Variant {
    const char* name;
    int64_t query_heads, kv_heads;
    AirKvType kv_type;
  };
  for (const Variant& variant : {Variant{"f16", 4, 2, AIR_KV_F16}, Variant{"int4", 4, 2, AIR_KV_INT4},
                                 Variant{"17 query heads per KV head", 17, 1, AIR_KV_INT8}}) {
    TinyOptions tiny_options;
    tiny_options.query_heads = variant.query_heads;
    tiny_options.kv_heads = variant.kv_heads;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    const auto tokens = random_tokens(90, tiny.spec.vocab_size);
    EngineOptions options;
    options.sequences = 3;
    options.max_context = 90;
    options.kv_type = variant.kv_type;
    Engine engine = make_engine(tiny, best_kernels(), options);
    run(engine, make_batch(engine, tokens, {{1, 0, 70}}));
    const Batch batch = make_batch(engine, tokens, {{0, 0, 5}, {1, 70, 71}, {2, 0, 33}});
    const auto plain = run(engine, batch);
    const Result result = run_with_mass(engine, batch);
    CHECK_MSG(same_bits(plain, result.logits), variant.name);
    const size_t pages = 6, used[] = {1, 5, 3};
    for (size_t s = 0; s < 3; ++s) {
      CHECK_MSG(std::fabs(sum_of(result.mass, s * pages, s * pages + used[s]) - 1) < 1e-6, variant.name);
      for (size_t i = s * pages + used[s]; i < (s + 1) * pages; ++i) CHECK_EQ(result.mass[i], 0.0F);
    }
    // Beside other sequences or alone, in one chunk or several.
    Engine other = make_engine(tiny, best_kernels(), options);
    run(other, make_batch(other, tokens, {{2, 0, 20}}));
    const Result alone = run_with_mass(other, make_batch(other, tokens, {{2, 20, 33}}));
    const std::vector<float> beside(result.mass.begin() + 12, result.mass.end());
    CHECK_MSG(same_bits(alone.mass, beside), variant.name);
  }
}

TEST(page_mass_of_dropped_pages_is_that_of_masked_ones) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(96, tiny.spec.vocab_size);
  EngineOptions options;
  options.max_context = 96;
  Engine engine = make_engine(tiny, best_kernels(), options);
  run(engine, make_batch(engine, tokens, {{0, 0, 95}}));
  Batch batch = make_batch(engine, tokens, {{0, 95, 96}});
  batch.sink_tokens = {7};
  batch.window_tokens = {30};
  const Result masked = run_with_mass(engine, batch);
  // Index 66 on is in pages 4 and 5.
  for (const size_t page : {1, 2, 3}) CHECK_EQ(masked.mass[page], 0.0F);
  CHECK(masked.mass[0] > 0 && masked.mass[4] > 0 && masked.mass[5] > 0);
  batch.page_tables.erase(batch.page_tables.begin() + 1, batch.page_tables.begin() + 3);
  batch.context_lengths = {64};
  batch.evicted_tokens = {32};
  const Result dropped = run_with_mass(engine, batch);
  const std::vector<float> expected = {masked.mass[0], 0, masked.mass[4], masked.mass[5]};
  CHECK(same_bits(dropped.mass, expected));
}

TEST(page_mass_is_zero_where_nothing_is_read) {
  const TinyModel tiny = air_test::make_tiny_model({});
  EngineOptions options;
  options.groups = 3;  // the last one has no heads
  options.head_mask = {0, 0, 1, air::kDroppedHead};
  Engine engine = make_engine(tiny, best_kernels(), options);
  Batch batch = make_batch(engine, random_tokens(20, tiny.spec.vocab_size), {{0, 0, 20}});
  for (size_t token = 20; token < 40; ++token) batch.slots[token] = -1;
  batch.context_lengths = {20, 0, 20};
  const Result result = run_with_mass(engine, batch);
  CHECK(std::fabs(sum_of(result.mass, 0, 2) - 1) < 1e-6);
  for (size_t i = 2; i < result.mass.size(); ++i) CHECK_EQ(result.mass[i], 0.0F);
}
