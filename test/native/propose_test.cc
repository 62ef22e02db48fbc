// Drafting within one call: against greedy decoding step by step, on every ISA.
#include "native/core/propose.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "native/core/isa.h"
#include "native/core/row_ops.h"
#include "test/native/check.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air::Batch;
using air::ProposeRequest;
using air::ProposeResult;
using air::Status;
using air::StatusCode;
using air_test::best_kernels;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_engine;
using air_test::Piece;
using air_test::run;
using air_test::same_bits;
using air_test::TinyModel;

constexpr int64_t kVocabSize = 50;

// What one head group lets a sequence see.
struct Window {
  int32_t sink_tokens = 0;
  int32_t window_tokens = 0;
  int32_t evicted_tokens = 0;
};

// A text of which [0, cached) was computed before the step that is to draft, and [cached, known) is part of it.
struct Text {
  int64_t cached;
  int64_t known;
  int32_t count;  // tokens to draft
};

struct Drafted {
  std::vector<int32_t> tokens;
  std::vector<float> confidence;
};

// Head group 1 of a step of pieces sees a window, after tokens that were dropped; head group 0 sees everything.
void set_window(const Window& window, Batch* batch) {
  const auto sequences = static_cast<size_t>(batch->sequence_count());
  const auto fields = {std::pair(&batch->sink_tokens, window.sink_tokens),
                       std::pair(&batch->window_tokens, window.window_tokens),
                       std::pair(&batch->evicted_tokens, window.evicted_tokens)};
  for (const auto& [field, value] : fields) {
    field->assign(batch->context_lengths.size(), 0);
    std::fill(field->begin() + static_cast<std::ptrdiff_t>(sequences), field->end(), value);
  }
  for (int32_t& position : batch->positions) position += window.evicted_tokens;
}

// One sequence's tokens [begin, end) as a step; the logits after the last of them.
std::vector<float> last_row(Engine& engine, const std::vector<int32_t>& tokens, const Piece& piece,
                            const Window* window) {
  Batch batch = make_batch(engine, tokens, {piece});
  if (window != nullptr) set_window(*window, &batch);
  batch.logit_rows = {static_cast<int32_t>(batch.token_count() - 1)};
  return run(engine, batch);
}

// Greedy decoding of one text, a forward for each token.
Drafted draft_by_steps(Engine& engine, std::vector<int32_t> tokens, int64_t id, const Text& text,
                       const Window* window) {
  tokens.resize(static_cast<size_t>(text.known));
  Drafted drafted;
  int64_t begin = text.cached;
  for (int32_t step = 0; step < text.count; ++step) {
    const auto end = static_cast<int64_t>(tokens.size());
    const std::vector<float> row = last_row(engine, tokens, {id, begin, end}, window);
    tokens.push_back(air::argmax_row(row.data(), kVocabSize));
    drafted.tokens.push_back(tokens.back());
    drafted.confidence.push_back(air::peak_probability(row.data(), kVocabSize, tokens.back()));
    begin = end;
  }
  return drafted;
}

// The request that drafts for texts 0, 1, .. as sequences 0, 1, ..
ProposeRequest make_request(const Engine& engine, const std::vector<int32_t>& tokens,
                            const std::vector<Text>& texts) {
  std::vector<Piece> pieces;
  ProposeRequest request;
  for (const Text& text : texts) {
    pieces.push_back({static_cast<int64_t>(pieces.size()), text.cached, text.known, text.count - 1});
    request.counts.push_back(text.count);
  }
  request.batch = make_batch(engine, tokens, pieces);
  request.batch.logit_rows.clear();
  for (size_t s = 1; s < request.batch.sequence_starts.size(); ++s)
    request.batch.logit_rows.push_back(request.batch.sequence_starts[s] - 1);
  return request;
}

void prefill(Engine& engine, const std::vector<int32_t>& tokens, const std::vector<Text>& texts) {
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].cached > 0)
      run(engine, make_batch(engine, tokens, {{static_cast<int64_t>(id), 0, texts[id].cached}}));
  }
}

ProposeResult propose(Engine& engine, const ProposeRequest& request) {
  ProposeResult result;
  const Status status = engine.runner->propose(request, &result);
  CHECK_MSG(status.ok(), status.message());
  return result;
}

// What sequence `s` drafted, up to the padding, which is checked.
Drafted drafted_by(const ProposeResult& result, size_t s) {
  const auto width = static_cast<size_t>(result.width);
  Drafted drafted;
  for (size_t i = s * width; i < (s + 1) * width; ++i) {
    const size_t place = i - s * width;
    if (result.tokens[i] >= 0) {
      CHECK_EQ(drafted.tokens.size(), place);
      drafted.tokens.push_back(result.tokens[i]);
      drafted.confidence.push_back(result.confidence[i]);
    } else {
      CHECK_EQ(result.tokens[i], -1);
      CHECK_EQ(result.confidence[i], 0.0F);
    }
  }
  return drafted;
}

// Drafts on one engine, decodes step by step on another, and goes on with both.
void check_drafts(const TinyModel& tiny, const AirKernelTable* kernels, const EngineOptions& options,
                  const std::vector<Text>& texts, const Window* window) {
  const auto tokens = air_test::random_tokens(options.max_context, kVocabSize);
  Engine drafting = make_engine(tiny, kernels, options);
  Engine stepping = make_engine(tiny, kernels, options);
  prefill(drafting, tokens, texts);
  prefill(stepping, tokens, texts);
  ProposeRequest request = make_request(drafting, tokens, texts);
  if (window != nullptr) set_window(*window, &request.batch);
  const ProposeResult result = propose(drafting, request);
  CHECK_EQ(result.width, int64_t{*std::max_element(request.counts.begin(), request.counts.end())});
  for (size_t s = 0; s < texts.size(); ++s) {
    const std::string what = std::string(kernels->isa) + ", text " + std::to_string(s);
    const auto id = static_cast<int64_t>(s);
    const Drafted expected = draft_by_steps(stepping, tokens, id, texts[s], window);
    const Drafted drafted = drafted_by(result, s);
    CHECK_MSG(drafted.tokens == expected.tokens, what + ": tokens");
    CHECK_MSG(same_bits(drafted.confidence, expected.confidence), what + ": confidence");
    // All but the last drafted token have K/V: go on with that one and another.
    std::vector<int32_t> text(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(texts[s].known));
    text.insert(text.end(), expected.tokens.begin(), expected.tokens.end());
    text.push_back(7);
    const auto end = static_cast<int64_t>(text.size());
    const Piece rest{id, end - 2, end};
    CHECK_MSG(same_bits(last_row(drafting, text, rest, window), last_row(stepping, text, rest, window)),
              what + ": afterwards");
  }
}

// Pages of 16 tokens, so that drafts end within a page, at a border, and after several.
EngineOptions ragged_options() {
  EngineOptions options;
  options.max_context = 96;
  options.sequences = 5;
  return options;
}

}  // namespace

TEST(drafts_what_greedy_decoding_gives_for_ragged_batches) {
  air_test::TinyOptions tiny_options;
  const std::vector<Text> texts = {{14, 15, 8}, {0, 30, 3}, {15, 16, 1}, {0, 1, 40}, {10, 16, 17}};
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    for (const AirKvType kv_type : {AIR_KV_F16, AIR_KV_INT8}) {
      EngineOptions options = ragged_options();
      options.kv_type = kv_type;
      check_drafts(tiny, kernels, options, texts, nullptr);
    }
    check_drafts(tiny, kernels, ragged_options(), {{31, 32, 1}}, nullptr);
    check_drafts(tiny, kernels, ragged_options(), {{0, 20, 70}}, nullptr);
  }
}

TEST(drafts_with_head_groups_sinks_and_windows) {
  air_test::TinyOptions tiny_options;
  tiny_options.query_heads = 6;
  EngineOptions options = ragged_options();
  options.groups = 2;
  options.head_mask = {0, 1, 1, 0};  // [layers 2, kv_heads 2]
  const std::vector<Text> texts = {{24, 25, 9}, {30, 38, 4}, {20, 21, 30}};
  const Window windows[] = {{3, 11, 0}, {3, 11, 16}, {0, 5, 48}};
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    check_drafts(tiny, kernels, options, texts, nullptr);
    for (const Window& window : windows) check_drafts(tiny, kernels, options, texts, &window);
  }
}

TEST(stops_after_the_token_that_takes_the_confidence_below_its_minimum) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = air_test::random_tokens(96, kVocabSize);
  const std::vector<Text> texts = {{0, 12, 10}, {0, 25, 10}, {0, 3, 10}};
  Engine engine = make_engine(tiny, best_kernels(), ragged_options());
  ProposeRequest request = make_request(engine, tokens, texts);
  const ProposeResult all = propose(engine, request);
  const Drafted first = drafted_by(all, 0);
  // Between the products of the first text's three and four tokens.
  const float three = first.confidence[0] * first.confidence[1] * first.confidence[2];
  request.min_confidence = three * (1 + first.confidence[3]) / 2;
  const ProposeResult some = propose(engine, request);
  CHECK_EQ(drafted_by(some, 0).tokens.size(), size_t{4});
  for (size_t s = 0; s < texts.size(); ++s) {
    Drafted expected = drafted_by(all, s);
    float product = 1;
    size_t length = 0;
    while (length < expected.tokens.size() && product >= request.min_confidence)
      product *= expected.confidence[length++];
    expected.tokens.resize(length);
    CHECK_MSG(drafted_by(some, s).tokens == expected.tokens, "text " + std::to_string(s));
  }
  request.min_confidence = 1;  // out of reach: one token each
  const ProposeResult one = propose(engine, request);
  for (size_t s = 0; s < texts.size(); ++s) CHECK_EQ(drafted_by(one, s).tokens.size(), size_t{1});
}

TEST(refuses_requests_that_leave_their_bounds) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = air_test::random_tokens(96, kVocabSize);
  EngineOptions options = ragged_options();
  options.sequences = 2;
  Engine engine = make_engine(tiny, best_kernels(), options);
  struct Case {
    const char* name;
    StatusCode code;
    void (*spoil)(ProposeRequest&);
  };
  const Case cases[] = {
      {"no counts", StatusCode::kShape, [](ProposeRequest& r) { r.counts.clear(); }},
      {"a count too many", StatusCode::kShape, [](ProposeRequest& r) { r.counts.push_back(1); }},
      {"count 0", StatusCode::kArgument, [](ProposeRequest& r) { r.counts[1] = 0; }},
      {"negative count", StatusCode::kArgument, [](ProposeRequest& r) { r.counts[0] = -1; }},
      {"count above 1024", StatusCode::kArgument, [](ProposeRequest& r) { r.counts[0] = 1025; }},
      {"no logit rows", StatusCode::kShape, [](ProposeRequest& r) { r.batch.logit_rows.clear(); }},
      {"a logit row too many", StatusCode::kShape,
       [](ProposeRequest& r) {
         r.batch.logit_rows = {18, 19, 24};
       }},
      {"a logit row before the last token", StatusCode::kShape,
       [](ProposeRequest& r) { r.batch.logit_rows[0] -= 1; }},
      {"pages that end within the draft", StatusCode::kPageRange,
       [](ProposeRequest& r) { r.counts[0] = 78; }},
      {"a null page within the draft", StatusCode::kPageRange,
       [](ProposeRequest& r) { r.batch.page_tables[3] = 0; }},
      {"no sequences", StatusCode::kShape, [](ProposeRequest& r) { r.batch.sequence_starts = {}; }},
      {"more sequences than the runner takes", StatusCode::kShape,
       [](ProposeRequest& r) {
         r.batch.sequence_starts = {0, 20, 22, 25};
         r.batch.logit_rows = {19, 21, 24};
         r.counts = {1, 1, 1};
       }},
      {"a token beyond the vocabulary", StatusCode::kArgument,
       [](ProposeRequest& r) { r.batch.tokens[3] = kVocabSize; }},
  };
  ProposeResult result;
  for (const Case& bad : cases) {
    ProposeRequest request = make_request(engine, tokens, {{0, 20, 77}, {0, 5, 2}});
    bad.spoil(request);
    const Status status = engine.runner->propose(request, &result);
    CHECK_MSG(status.code() == bad.code, std::string(bad.name) + ": " + air::status_code_name(status.code()));
    CHECK_MSG(status.message().rfind("expected ", 0) == 0, std::string(bad.name) + ": " + status.message());
  }
  // Nothing of this keeps the engine from drafting.
  CHECK_EQ(propose(engine, make_request(engine, tokens, {{0, 20, 77}})).width, int64_t{77});
}

TEST(cancel_stops_a_draft_and_the_next_one_is_right) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = air_test::random_tokens(96, kVocabSize);
  EngineOptions options;
  options.max_context = 1000;
  Engine engine = make_engine(tiny, best_kernels(), options);
  const ProposeRequest request = make_request(engine, tokens, {{0, 20, 900}});
  const ProposeResult expected = propose(engine, request);
  ProposeResult result;
  engine.runner->cancel();
  CHECK(engine.runner->propose(request, &result).code() == StatusCode::kCancelled);
  engine.runner->clear_cancel();
  // Well before the last of 900 steps, unless the machine is busy with other things.
  std::thread other([&engine] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    engine.runner->cancel();
  });
  const Status raced = engine.runner->propose(request, &result);
  other.join();
  CHECK(raced.ok() || raced.code() == StatusCode::kCancelled);
  engine.runner->clear_cancel();
  CHECK(propose(engine, request).tokens == expected.tokens);
}
