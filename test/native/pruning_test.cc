// Pruned models against the whole model with the same heads and channels silenced: the same bits.
#include "native/core/pruning.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "native/core/runner.h"
#include "test/native/check.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air::Batch;
using air::LayerShape;
using air::Model;
using air::PackCacheOutcome;
using air::Pruning;
using air::Status;
using air::StatusCode;
using air::TensorType;
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

// Rows of whole K blocks everywhere.
TinyOptions wide_options(TensorType type) {
  TinyOptions options;
  options.layers = 3;
  options.embedding_length = 256;
  options.query_heads = 8;
  options.kv_heads = 4;
  options.feed_forward_length = 512;
  options.type = type;
  options.keeps_file = true;
  return options;
}

// Layer 0 keeps KV heads with two, one, no and two query heads, layer 1 no head at all, layer 2 the odd ones.
// Channel groups: every third, all, and the last one.
Pruning some_pruning() {
  Pruning pruning;
  pruning.query_heads = {1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1};
  pruning.channel_groups.assign(48, 0);
  for (size_t group = 0; group < 16; ++group) {
    pruning.channel_groups[group] = group % 3 == 0;
    pruning.channel_groups[16 + group] = 1;
  }
  pruning.channel_groups[47] = 1;
  return pruning;
}

TinyModel prune(const TinyModel& tiny, const Pruning& pruning, AirLayout layout,
                const std::string& pack_cache = {}) {
  TinyModel pruned = tiny;
  const Status status = Model::load(tiny.directory, tiny.spec, {2, pack_cache, {}, layout, pruning}, &pruned.model);
  CHECK_MSG(status.ok(), status.message());
  return pruned;
}

// 255 for the KV heads that the model has not.
std::vector<uint8_t> head_mask(const Model& model) {
  std::vector<uint8_t> mask;
  for (const air::LayerWeights& layer : model.layers()) {
    for (int64_t kv_head = 0; kv_head < model.spec().kv_heads; ++kv_head) {
      mask.push_back(layer.shape.has_kv_head(kv_head) ? 0 : air::kDroppedHead);
    }
  }
  return mask;
}

// Zero bytes over rows of a tensor in the file: zero weights, in every format.
void zero_rows(const TinyModel& tiny, const std::string& role, const std::vector<int64_t>& rows) {
  std::fstream file(tiny.directory.files[0], std::ios::in | std::ios::out | std::ios::binary);
  for (const air::TensorEntry& entry : tiny.directory.tensors) {
    if (entry.role != role) continue;
    const int64_t bytes = entry.length_bytes / entry.shape[0];
    const std::vector<char> zeros(static_cast<size_t>(bytes), 0);
    for (const int64_t row : rows) {
      file.seekp(entry.offset_bytes + row * bytes);
      file.write(zeros.data(), bytes);
    }
  }
}

// Gates and ups of the left-out channels become zero, and so what they hand to the down matrix.
void silence_channels(const TinyModel& tiny, const Pruning& pruning) {
  for (int64_t layer = 0; layer < tiny.spec.layers; ++layer) {
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < tiny.spec.feed_forward_length; ++row) {
      if (pruning.channel_groups[static_cast<size_t>(layer * 16 + row / 32)] == 0) rows.push_back(row);
    }
    const std::string role = "layers." + std::to_string(layer) + ".feed_forward.";
    for (const char* name : {"gate.weight", "gate.bias", "up.weight", "up.bias"}) zero_rows(tiny, role + name, rows);
  }
}

struct Pair {
  TinyModel whole, pruned;
  Pruning pruning;

  Pair(const TinyOptions& options, const Pruning& of) : pruning(of) {
    whole = air_test::make_tiny_model(options);
    if (!of.channel_groups.empty()) silence_channels(whole, of);
    whole = prune(whole, {}, options.layout);
    pruned = prune(whole, of, options.layout);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() { unlink(whole.directory.files[0].c_str()); }

  // The text in pieces: a prefill, then some tokens one by one.
  void check_same_logits(const EngineOptions& options, int64_t tokens, const std::string& what) const {
    const auto text = random_tokens(tokens, whole.spec.vocab_size);
    EngineOptions pruned_options = options;
    pruned_options.head_mask = head_mask(*pruned.model);
    Engine gated = make_engine(whole, best_kernels(), options);
    Engine engine = make_engine(pruned, best_kernels(), pruned_options);
    for (int64_t begin = 0; begin < tokens;) {
      const int64_t end = begin == 0 ? tokens - 5 : begin + 1;
      Batch batch = make_batch(engine, text, {{0, begin, end}});
      const std::vector<float> logits = run(engine, batch);
      batch.query_gates = pruning.query_heads;
      CHECK_MSG(same_bits(logits, run(gated, batch)), what + " at " + std::to_string(begin));
      begin = end;
    }
  }
};

}  // namespace

TEST(a_pruned_model_has_the_bits_of_the_whole_one_with_gates_closed) {
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kQ4K, TensorType::kQ6K,
                                TensorType::kF16, TensorType::kF32}) {
    for (const bool biases : {false, true}) {
      TinyOptions options = wide_options(type);
      options.biases = biases;
      const Pair pair(options, some_pruning());
      EngineOptions engine;
      for (const AirKvType kv_type : {AIR_KV_INT8, AIR_KV_F16}) {
        engine.kv_type = kv_type;
        pair.check_same_logits(engine, 40, air::tensor_type_info(type).name + std::string(biases ? " biased" : ""));
      }
    }
  }
}

TEST(long_contexts_and_any_number_of_threads_make_no_difference) {
  Pruning pruning = some_pruning();
  pruning.channel_groups.clear();
  const Pair pair(wide_options(TensorType::kQ8_0), pruning);
  EngineOptions engine;
  engine.max_context = 1100;  // three splits
  for (const int threads : {1, 3}) {
    engine.threads = threads;
    pair.check_same_logits(engine, 1050, std::to_string(threads) + " threads");
  }
}

TEST(gates_count_the_heads_of_the_whole_model) {
  const Pair pair(wide_options(TensorType::kQ4_0), some_pruning());
  EngineOptions options;
  options.head_mask = head_mask(*pair.pruned.model);
  Engine engine = make_engine(pair.pruned, best_kernels(), options);
  Engine whole = make_engine(pair.whole, best_kernels(), {});
  Batch batch = make_batch(engine, random_tokens(9, pair.whole.spec.vocab_size), {{0, 0, 9}});
  const std::vector<float> open = run(engine, batch);
  batch.query_gates = pair.pruning.query_heads;
  CHECK(same_bits(run(engine, batch), open));  // the open ones are those there are
  batch.query_gates[3] = batch.query_gates[21] = 0;
  const std::vector<float> gated = run(engine, batch);
  CHECK(!same_bits(gated, open));
  CHECK(same_bits(gated, run(whole, batch)));
}

TEST(what_is_left_out_takes_no_memory) {
  const TinyOptions options = wide_options(TensorType::kQ4_0);
  const Pair pair(options, some_pruning());
  const Model& model = *pair.pruned.model;
  CHECK(model.is_pruned() && !pair.whole.model->is_pruned());
  const air::LayerWeights& layer = model.layers()[0];
  CHECK_EQ(layer.q.weight.rows, 5 * 32);
  CHECK_EQ(layer.k.weight.rows, 3 * 32);
  CHECK_EQ(layer.v.weight.rows, 3 * 32);
  CHECK_EQ(layer.o.weight.cols, 5 * 32);
  CHECK_EQ(layer.gate.weight.rows, 6 * 32);
  CHECK_EQ(layer.up.weight.rows, 6 * 32);
  CHECK_EQ(layer.down.weight.cols, 6 * 32);
  CHECK_EQ(model.layers()[1].q.weight.rows, 0);
  // 16 rows of 32 values with their scales are 288 bytes. Of every 1024 columns' worth of a layer's matrices:
  const auto bytes = [](int64_t heads, int64_t kv_heads, int64_t groups) {
    return (2 * heads * 2 * 8 + 2 * kv_heads * 2 * 8 + 2 * groups * 2 * 8 + groups * 16) * int64_t{288};
  };
  const int64_t saved = 3 * bytes(8, 4, 16) - bytes(5, 3, 6) - bytes(0, 0, 16) - bytes(4, 4, 1);
  const int64_t rounding = 3 * 7 * 4096;  // matrices start on pages
  const int64_t less = pair.whole.model->weight_bytes() - model.weight_bytes();
  CHECK_MSG(less > saved - rounding && less < saved + rounding,
            std::to_string(less) + " bytes instead of " + std::to_string(saved));
}

TEST(keeping_everything_is_not_pruning) {
  const TinyOptions options = wide_options(TensorType::kQ4_0);
  const TinyModel whole = air_test::make_tiny_model(options);
  const Pruning all{std::vector<uint8_t>(24, 1), std::vector<uint8_t>(48, 1)};
  const TinyModel kept = prune(whole, all, options.layout);
  CHECK(!kept.model->is_pruned());
  CHECK_EQ(kept.model->weight_bytes(), whole.model->weight_bytes());
  unlink(whole.directory.files[0].c_str());
}

TEST(a_pack_cache_tells_prunings_apart_and_keeps_them_all) {
  const TinyOptions options = wide_options(TensorType::kQ4K);
  const TinyModel whole = air_test::make_tiny_model(options);
  char pattern[] = "/tmp/air-pruned-XXXXXX";
  const std::string directory = mkdtemp(pattern);
  Pruning other = some_pruning();
  std::swap(other.channel_groups[0], other.channel_groups[1]);  // of the same size
  const auto outcome = [&](const Pruning& pruning) {
    return prune(whole, pruning, options.layout, directory).model->pack_cache().outcome;
  };
  for (const PackCacheOutcome expected : {PackCacheOutcome::kWritten, PackCacheOutcome::kHit}) {
    for (const Pruning& pruning : {Pruning(), some_pruning(), other}) CHECK(outcome(pruning) == expected);
  }
  // Mapped or packed, the same model.
  const TinyModel packed = prune(whole, other, options.layout);
  const TinyModel mapped = prune(whole, other, options.layout, directory);
  EngineOptions engine;
  engine.head_mask = head_mask(*packed.model);
  Engine a = make_engine(packed, best_kernels(), engine);
  Engine b = make_engine(mapped, best_kernels(), engine);
  const Batch batch = make_batch(a, random_tokens(9, whole.spec.vocab_size), {{0, 0, 9}});
  CHECK(same_bits(run(a, batch), run(b, batch)));
  CHECK_EQ(packed.model->weight_bytes(), mapped.model->weight_bytes());
  // A file of another time and the same content still fits.
  std::filesystem::last_write_time(whole.directory.files[0], std::filesystem::file_time_type::clock::now() +
                                                                 std::chrono::seconds(9));
  CHECK(outcome(other) == PackCacheOutcome::kHit);
  std::filesystem::remove_all(directory);
  unlink(whole.directory.files[0].c_str());
}

TEST(refuses_prunings_that_do_not_fit) {
  const TinyOptions options = wide_options(TensorType::kF32);
  const TinyModel tiny = air_test::make_tiny_model(options);
  const auto code_of = [&](const TinyModel& of, const Pruning& pruning) {
    std::shared_ptr<const Model> model;
    return Model::load(of.directory, of.spec, {2, {}, {}, options.layout, pruning}, &model).code();
  };
  Pruning no_channels = some_pruning();
  no_channels.channel_groups[47] = 0;
  Pruning not_a_flag = some_pruning();
  not_a_flag.query_heads[0] = 2;
  CHECK(code_of(tiny, {std::vector<uint8_t>(23, 1), {}}) == StatusCode::kShape);
  CHECK(code_of(tiny, {{}, std::vector<uint8_t>(49, 1)}) == StatusCode::kShape);
  CHECK(code_of(tiny, not_a_flag) == StatusCode::kArgument);
  CHECK(code_of(tiny, no_channels) == StatusCode::kArgument);
  unlink(tiny.directory.files[0].c_str());

  TinyOptions narrow;
  narrow.head_dim = narrow.rope_dims = 24;
  narrow.keeps_file = true;
  const TinyModel odd = air_test::make_tiny_model(narrow);
  CHECK(code_of(odd, {{1, 1, 1, 1, 1, 1, 1, 1}, {}}) == StatusCode::kOk);
  CHECK(code_of(odd, {{1, 1, 1, 1, 1, 1, 1, 0}, {}}) == StatusCode::kUnsupported);
  CHECK(code_of(odd, {{}, {1, 0, 1, 1, 1, 1}}) == StatusCode::kOk);
  unlink(odd.directory.files[0].c_str());
}

TEST(an_arena_has_no_pages_for_pruned_heads) {
  const Pair pair(wide_options(TensorType::kF16), some_pruning());
  air::ArenaOptions options;
  options.page_tokens = 16;
  options.page_counts = {3};
  options.head_mask = head_mask(*pair.pruned.model);
  std::shared_ptr<air::KvArena> arena;
  CHECK(air::KvArena::create(pair.pruned.model, options, &arena).ok());
  options.head_mask[2] = 0;
  const Status status = air::KvArena::create(pair.pruned.model, options, &arena);
  CHECK(status.code() == StatusCode::kArgument);
  CHECK_MSG(status.message().find("expected 255 (dropped)") == 0, status.message());
  CHECK(air::KvArena::create(pair.whole.model, options, &arena).ok());
}
