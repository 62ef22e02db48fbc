// Sinks and windows: every token reads its own window, dropped tokens count like masked ones, and the sinks are
// scored as StreamingLLM (arXiv 2309.17453) scores them, whose keys are rotated to their places in the cache.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <vector>

#include "native/core/attention.h"
#include "native/core/isa.h"
#include "native/core/runner.h"
#include "test/native/kernel_cases.h"
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
using air_test::TinyModel;
using air_test::TinyOptions;

struct Window {
  int32_t sink_tokens, window_tokens;
};

// Of a batch of one sequence and head group, which may be shorter than the sinks.
void set_window(const Window& window, int32_t evicted_tokens, Batch* batch) {
  const size_t cells = batch->context_lengths.size();
  batch->sink_tokens.assign(cells, std::min(window.sink_tokens, batch->context_lengths[0]));
  batch->window_tokens.assign(cells, window.window_tokens);
  batch->evicted_tokens.assign(cells, evicted_tokens);
}

// Logits of tokens [begin, end) in chunks, of which the first `dropped` pages after the first are not in the
// cache any more.
std::vector<float> run_chunks(Engine& engine, const std::vector<int32_t>& tokens, int64_t begin, int64_t end,
                              int64_t chunk, const Window& window, int32_t dropped = 0) {
  const int32_t page_tokens = engine.arena->layout().page_tokens;
  const int32_t evicted = dropped * page_tokens;
  std::vector<float> all;
  for (int64_t at = begin; at < end; at += chunk) {
    Batch batch = make_batch(engine, tokens, {{0, at, std::min(at + chunk, end)}});
    set_window(window, evicted, &batch);
    if (dropped > 0) {
      batch.page_tables.erase(batch.page_tables.begin() + 1, batch.page_tables.begin() + 1 + dropped);
      batch.context_lengths[0] -= evicted;
    }
    const std::vector<float> logits = run(engine, batch);
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

// In slow builds the first four.
constexpr Window kWindows[] = {{0, 1}, {5, 100}, {70, 29}, {4, 530}, {1, 37}, {3, 16}, {0, 2000}, {9, 0}};
constexpr size_t kWindowCount = air_test::kIsSlow ? 4 : std::size(kWindows);

std::string describe(const AirKernelTable* kernels, const Window& window) {
  return std::string(kernels->isa) + ", " + std::to_string(window.sink_tokens) + " sinks, window " +
         std::to_string(window.window_tokens);
}

// One KV head's float16 cache of sinks, rotated at positions 0, 1, .., and of a window that ends `dropped` tokens
// further on than its places in the cache say.
class RotatedCache {
 public:
  static constexpr int64_t kDims = 64, kSinks = 4, kLength = 154, kPageTokens = 32;

  RotatedCache(int64_t dropped, air_test::Random& random)
      : dropped_(dropped),
        layout_(air_test::kv_layout(kDims, kPageTokens, AIR_KV_F16, AIR_KV_F16)),
        pages_(layout_.member_bytes * 5),
        query_(air_test::random_floats(random, kDims)) {
    for (int64_t index = 0; index < kLength; ++index) {
      std::vector<float> key = air_test::random_floats(random, kDims);
      rotate(key, position(index));
      const std::vector<float> value = air_test::random_floats(random, kDims);
      air_kernels_reference()->kv_write(&layout_, page(index), index % kPageTokens, key.data(), value.data());
    }
  }

  // The kernel's result for entries [0, sinks) and [window_start, kLength): kDims means and the largest score.
  std::vector<double> attend(const AirKernelTable& table, int64_t sinks, int64_t window_start) const {
    std::vector<float> window_query = query_, sink_query = query_, acc(kDims);
    rotate(window_query, kLength - 1 + dropped_);
    rotate(sink_query, kLength - 1);
    const std::vector<int32_t> table_of_pages = {0, 1, 2, 3, 4};
    float max = 0, sum = 0;
    const int64_t end = sinks == 0 ? window_start + 1 : kLength, first_query = 0;
    AirAttentionArgs args = {};
    args.layout = &layout_;
    args.pages = pages_.data();
    args.page_stride = layout_.member_bytes;
    args.page_table = table_of_pages.data();
    args.ends = &end;
    args.window_starts = &window_start;
    args.sink_tokens = sinks;
    args.prefetch_end = end;
    args.rows = args.heads = 1;
    args.first_query = &first_query;
    args.q = window_query.data();
    args.sink_q = sink_query.data();
    args.running_max = &max;
    args.running_sum = &sum;
    args.acc = acc.data();
    table.attention(&args);
    std::vector<double> result;
    for (const float value : acc) result.push_back(double(value) / double(sum));
    result.push_back(double(max));
    return result;
  }

  // The score of the entry with its key rotated on to its place in the cache, in float64.
  double score(int64_t index) const {
    std::vector<double> q(query_.begin(), query_.end()), key(kDims);
    for (int64_t d = 0; d < kDims; ++d)
      key[static_cast<size_t>(d)] = half(index, index % kPageTokens / 16 * 16 * kDims + d * 16 + index % 16);
    rotate(q, kLength - 1);
    rotate(key, index - position(index));
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d) sum += q[d] * key[d];
    return sum;
  }

  double value(int64_t index, int64_t d) const {
    return half(index, layout_.values_offset / 2 + index % kPageTokens * kDims + d);
  }

 private:
  int64_t position(int64_t index) const { return index < kSinks ? index : index + dropped_; }
  uint8_t* page(int64_t index) { return pages_.data() + index / kPageTokens * layout_.member_bytes; }
  double half(int64_t index, int64_t at) const {
    uint16_t bits;
    std::memcpy(&bits, pages_.data() + index / kPageTokens * layout_.member_bytes + 2 * at, sizeof bits);
    return air_test::half_value(bits);
  }

  // Pairs (j, j + dims / 2), base 10000; angles in float64, as the runner computes them.
  template <typename Real>
  static void rotate(std::vector<Real>& head, int64_t position) {
    for (size_t j = 0; j < kDims / 2; ++j) {
      const double angle =
          static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(j) / kDims);
      const Real cosine = static_cast<Real>(std::cos(angle)), sine = static_cast<Real>(std::sin(angle));
      const Real a = head[j], b = head[j + kDims / 2];
      head[j] = a * cosine - b * sine;
      head[j + kDims / 2] = a * sine + b * cosine;
    }
  }

  const int64_t dropped_;
  AirKvLayout layout_;
  air_test::AlignedBytes pages_;
  std::vector<float> query_;
};

}  // namespace

TEST(a_token_reads_its_window_whatever_chunk_it_is_computed_in) {
  constexpr int64_t kTokens = 600;  // past one split of 512 cached tokens
  TinyOptions tiny_options;
  tiny_options.layers = 1;
  const auto tokens = random_tokens(kTokens, tiny_options.vocab_size);
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    EngineOptions options;
    options.max_context = kTokens;
    Engine engine = make_engine(tiny, kernels, options);
    for (size_t index = 0; index < kWindowCount; ++index) {
      const Window& window = kWindows[index];
      const auto apart = run_chunks(engine, tokens, 0, kTokens, 1, window);
      for (const int64_t chunk : {600, 37, 5}) {
        const auto together = run_chunks(engine, tokens, 0, kTokens, chunk, window);
        CHECK_MSG(air_test::same_bits(apart, together),
                  describe(kernels, window) + ", chunks of " + std::to_string(chunk));
      }
    }
  }
}

TEST(dropped_tokens_count_like_masked_ones) {
  constexpr int64_t kTokens = 700;  // with and without what was dropped, other splits of 512 tokens are read
  constexpr int64_t kDropped = 640;
  TinyOptions tiny_options;
  const auto tokens = random_tokens(kTokens, tiny_options.vocab_size);
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    EngineOptions options;
    options.max_context = kTokens;
    for (const Window& window : {Window{1, 37}, Window{5, 100}, Window{16, 63}}) {
      Engine engine = make_engine(tiny, kernels, options);
      const auto masked = run_chunks(engine, tokens, 0, kTokens, 20, window);
      const auto rest = static_cast<std::ptrdiff_t>((kTokens - kDropped) * tiny.spec.vocab_size);
      const std::vector<float> after(masked.end() - rest, masked.end());
      for (const int32_t dropped :
           air_test::kIsSlow ? std::vector<int32_t>{4, 30} : std::vector<int32_t>{1, 4, 7, 30}) {
        const auto without = run_chunks(engine, tokens, kDropped, kTokens, 13, window, dropped);
        CHECK_MSG(air_test::same_bits(after, without),
                  describe(kernels, window) + ", dropped " + std::to_string(dropped));
      }
    }
  }
}

// A decoded token far into a text of two head groups: what a piece takes is bounded by what is read.
TEST(no_piece_of_a_plan_lies_between_sinks_and_window) {
  constexpr int64_t kTokens = 8192;  // 16 splits of 512 cached tokens
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(kTokens, tiny.spec.vocab_size);
  const auto pieces = [&](uint8_t head_group, const Window& first, const Window& second) {
    EngineOptions options;
    options.max_context = kTokens;
    options.groups = 2;
    options.head_mask.assign(static_cast<size_t>(tiny.spec.layers * tiny.spec.kv_heads), head_group);
    options.head_mask[0] = 1;
    const Engine engine = make_engine(tiny, best_kernels(), options);
    Batch batch = make_batch(engine, tokens, {{0, kTokens - 1, kTokens}});
    batch.sink_tokens = {first.sink_tokens, second.sink_tokens};
    batch.window_tokens = {first.window_tokens, second.window_tokens};
    std::vector<air::ReadRange> ranges;
    const air::Status status = air::check_batch(batch, *engine.arena, 1, 1, &ranges);
    CHECK_MSG(status.ok(), status.message());
    const air::Workspace workspace;
    air::Attention attention(*best_kernels(), *engine.arena, workspace, 2);
    attention.begin_step(batch, ranges);
    air::Attention::Plan plan;
    attention.make_plan(batch.logit_rows.data(), 1, &plan);
    return plan.tasks.size();
  };
  const Window all = {0, 0}, narrow = {4, 100}, wide = {600, 1000};
  CHECK(pieces(0, all, narrow) == 16);
  CHECK(pieces(0, narrow, wide) == 4);  // 0 and 1 for the sinks, 14 and 15
  CHECK(pieces(1, all, narrow) == 2);   // nobody reads the first head group
  CHECK(pieces(1, narrow, wide) == 4);
}

TEST(windows_wider_than_the_context_read_everything) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(50, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  const auto all = run(engine, make_batch(engine, tokens, {{0, 0, 50}}));
  for (const int32_t window : {0, 50, INT32_MAX}) {
    Batch batch = make_batch(engine, tokens, {{0, 0, 50}});
    batch.window_tokens = {window};
    CHECK_MSG(air_test::same_bits(all, run(engine, batch)), "window " + std::to_string(window));
  }
}

// A probe that is written to no page reads the window that ends at the last cached entry.
TEST(a_token_without_a_slot_has_a_window_too) {
  const TinyModel tiny = air_test::make_tiny_model({});
  const auto tokens = random_tokens(41, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, best_kernels(), {});
  const Window window = {3, 10};
  run_chunks(engine, tokens, 0, 40, 40, window);
  const auto probe = [&](const Window& read) {
    Batch batch = make_batch(engine, tokens, {{0, 40, 41}});
    batch.slots = {-1};
    batch.context_lengths = {40};
    set_window(read, 0, &batch);
    return run(engine, batch);
  };
  // Entries 30 to 39 and the sinks; nothing of the rest, which is overwritten.
  const auto expected = probe(window);
  const auto other = random_tokens(60, tiny.spec.vocab_size);
  const std::vector<int32_t> changed(other.begin() + 20, other.end());
  Batch overwrite = make_batch(engine, changed, {{0, 3, 30}});
  run(engine, overwrite);
  CHECK(air_test::same_bits(expected, probe(window)));
  CHECK(!air_test::same_bits(expected, probe({3, 11})));
}

// In one layer keys depend on tokens and positions alone, so the naive decoder over the cached tokens at their
// places in the cache computes what StreamingLLM does. Within the rounding of float16 keys, up to position 10^6.
TEST(a_million_tokens_further_on_the_cache_reads_as_at_its_start) {
  constexpr int64_t kSinks = 16;
  TinyOptions tiny_options;
  tiny_options.layers = 1;
  const TinyModel tiny = air_test::make_tiny_model(tiny_options);
  const auto tokens = random_tokens(60, tiny.spec.vocab_size);
  const auto naive = air_test::naive_logits(tiny, tokens);
  for (const int32_t evicted : {0, 4096, 131072, 1000000}) {
    Engine engine = make_engine(tiny, best_kernels(), {});
    run(engine, make_batch(engine, tokens, {{0, 0, kSinks}}));
    Batch batch = make_batch(engine, tokens, {{0, kSinks, 60}});
    for (int32_t& at : batch.positions) at += evicted;
    set_window({kSinks, 0}, evicted, &batch);
    const auto logits = run(engine, batch);
    double worst = 0;
    for (size_t i = 0; i < logits.size(); ++i)
      worst = std::max(worst, std::fabs(logits[i] - naive[naive.size() - logits.size() + i]));
    CHECK_MSG(worst < 6e-3, "evicted " + std::to_string(evicted) + ": " + std::to_string(worst));
  }
}

TEST(two_queries_score_as_if_every_key_were_rotated_to_its_place_in_the_cache) {
  std::vector<const AirKernelTable*> tables = air_test::vector_isas();
  tables.push_back(air_kernels_reference());
  for (const int64_t dropped : {0, 1000, 131071, 1000000 - int(RotatedCache::kLength) + 1}) {
    air_test::Random random(5);
    const RotatedCache cache(dropped, random);
    for (const AirKernelTable* table : tables) {
      const std::string what = std::string(table->isa) + ", dropped " + std::to_string(dropped);
      for (int64_t index = RotatedCache::kSinks; index < RotatedCache::kLength; ++index)
        CHECK_MSG(std::fabs(cache.attend(*table, 0, index).back() - cache.score(index)) < 1e-4, what);
      for (const int64_t window_start : {RotatedCache::kSinks, int64_t{5}, int64_t{77}, int64_t{153}}) {
        double largest = -INFINITY, sum = 0;
        std::vector<double> means(RotatedCache::kDims, 0.0);
        for (int64_t index = 0; index < RotatedCache::kLength; ++index) {
          if (index >= RotatedCache::kSinks && index < window_start) continue;
          largest = std::max(largest, cache.score(index));
          sum += std::exp(cache.score(index));
          for (int64_t d = 0; d < RotatedCache::kDims; ++d)
            means[static_cast<size_t>(d)] += std::exp(cache.score(index)) * cache.value(index, d);
        }
        const std::vector<double> result = cache.attend(*table, RotatedCache::kSinks, window_start);
        CHECK_MSG(std::fabs(result.back() - largest) < 1e-4, what);
        for (size_t d = 0; d < means.size(); ++d)
          CHECK_MSG(std::fabs(result[d] - means[d] / sum) < 1e-4, what);
      }
    }
  }
}
