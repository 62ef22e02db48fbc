// What a step says about its heads and channels, and a model about its columns.
#include <unistd.h>

#include <cmath>

#include "native/core/runner.h"
#include "test/native/check.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air::Batch;
using air::Status;
using air::StatusCode;
using air_test::best_kernels;
using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_engine;
using air_test::NaiveActivity;
using air_test::random_tokens;
using air_test::same_bits;
using air_test::TinyModel;
using air_test::TinyOptions;

struct Activity {
  std::vector<float> logits, attended, hidden;

  explicit Activity(const TinyModel& tiny)
      : attended(static_cast<size_t>(tiny.spec.layers * tiny.spec.query_heads * tiny.spec.head_dim)),
        hidden(static_cast<size_t>(tiny.spec.layers * tiny.spec.feed_forward_length)) {}

  Status add(Engine& engine, const Batch& batch) {
    logits.resize(static_cast<size_t>(batch.row_count() * engine.runner->spec().vocab_size));
    return engine.runner->forward(batch, {logits.data(), attended.data(), hidden.data()});
  }
};

// Against double precision: twice the relative error of the activations, whose keys and values are float16.
void check_near(const std::vector<float>& actual, const std::vector<double>& expected, const char* what) {
  CHECK_EQ(actual.size(), expected.size());
  double mean = 0;
  for (const double value : expected) mean += value / static_cast<double>(expected.size());
  CHECK(mean > 0);
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error = std::fabs(actual[i] - expected[i]);
    CHECK_MSG(error <= 1e-2 * (expected[i] + 0.1 * mean), what + std::string(" ") + std::to_string(i) + ": " +
                                                          std::to_string(actual[i]) + " instead of " +
                                                          std::to_string(expected[i]));
  }
}

}  // namespace

TEST(activity_is_what_the_output_and_down_matrices_read) {
  TinyOptions options;
  options.feed_forward_length = 200;  // no whole number of pieces
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto tokens = random_tokens(40, tiny.spec.vocab_size);
  NaiveActivity expected;
  air_test::naive_logits(tiny, tokens, {}, 0, &expected);
  Engine engine = make_engine(tiny, best_kernels(), {});
  Activity activity(tiny);
  const Batch batch = make_batch(engine, tokens, {{0, 0, 40}});
  CHECK(activity.add(engine, batch).ok());
  check_near(activity.attended, expected.attended_squares, "attended");
  check_near(activity.hidden, expected.hidden_squares, "hidden");
  CHECK(same_bits(activity.logits, air_test::run(engine, batch)));  // asking changes nothing
}

TEST(activity_adds_up_over_steps_and_does_not_depend_on_threads) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(40, tiny.spec.vocab_size);
  Activity whole(tiny), threaded(tiny), chunked(tiny);
  EngineOptions options;
  Engine engine = make_engine(tiny, best_kernels(), options);
  CHECK(whole.add(engine, make_batch(engine, tokens, {{0, 0, 40}})).ok());
  for (int64_t begin = 0; begin < 40; begin += 8) {
    CHECK(chunked.add(engine, make_batch(engine, tokens, {{0, begin, begin + 8}})).ok());
  }
  options.threads = 4;
  Engine other = make_engine(tiny, best_kernels(), options);
  CHECK(threaded.add(other, make_batch(other, tokens, {{0, 0, 40}})).ok());
  CHECK(same_bits(threaded.attended, whole.attended) && same_bits(threaded.hidden, whole.hidden));
  const auto near = [](const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (!(std::fabs(a[i] - b[i]) <= 1e-6F * b[i])) return false;  // one rounding per step
    }
    return true;
  };
  CHECK(near(chunked.attended, whole.attended) && near(chunked.hidden, whole.hidden));
}

TEST(masked_heads_have_no_activity) {
  const TinyModel tiny = air_test::make_tiny_model({});
  Engine engine = make_engine(tiny, best_kernels(), {});
  Batch batch = make_batch(engine, random_tokens(9, tiny.spec.vocab_size), {{0, 0, 9}});
  batch.query_gates = {1, 0, 1, 1, 1, 1, 1, 0};
  Activity activity(tiny);
  CHECK(activity.add(engine, batch).ok());
  for (int64_t head = 0; head < 8; ++head) {
    for (int64_t d = 0; d < 32; ++d) {
      CHECK_EQ(activity.attended[static_cast<size_t>(head * 32 + d)] > 0,
               batch.query_gates[static_cast<size_t>(head)] != 0);
    }
  }
}

TEST(activity_needs_the_logits_of_every_token_and_a_whole_model) {
  TinyOptions options;
  options.keeps_file = true;
  TinyModel tiny = air_test::make_tiny_model(options);
  Engine engine = make_engine(tiny, best_kernels(), {});
  Batch batch = make_batch(engine, random_tokens(9, tiny.spec.vocab_size), {{0, 0, 9}});
  Activity activity(tiny);
  batch.logit_rows.pop_back();
  CHECK(activity.add(engine, batch).code() == StatusCode::kArgument);

  const air::Pruning pruning{{1, 1, 1, 1, 1, 1, 1, 0}, {}};
  CHECK(air::Model::load(tiny.directory, tiny.spec, {2, {}, {}, options.layout, pruning}, &tiny.model).ok());
  unlink(tiny.directory.files[0].c_str());
  Engine pruned = make_engine(tiny, best_kernels(), {});
  batch.logit_rows.push_back(8);
  CHECK(activity.add(pruned, batch).code() == StatusCode::kArgument);
  for (const float value : activity.attended) CHECK_EQ(value, 0.0F);
}

TEST(a_model_tells_the_column_squares_of_its_file) {
  const TinyModel tiny = air_test::make_tiny_model({});
  for (const char* role : {"layers.1.attention.o.weight", "token_embedding.weight"}) {
    std::vector<float> squares;
    CHECK(tiny.model->column_squares(role, &squares).ok());
    const std::vector<double>& weights = tiny.weights.at(role);
    for (size_t col = 0; col < squares.size(); ++col) {
      double expected = 0;
      for (size_t i = col; i < weights.size(); i += squares.size()) expected += weights[i] * weights[i];
      CHECK(std::fabs(squares[col] - expected) <= 1e-6 * expected);
    }
  }
  std::vector<float> squares;
  CHECK(tiny.model->column_squares("layers.9.attention.o.weight", &squares).code() == StatusCode::kArgument);
  CHECK(tiny.model->column_squares("output_norm.weight", &squares).code() == StatusCode::kArgument);
}
