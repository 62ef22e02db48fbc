#include "test/native/support/tiny_engine.h"

#include <cmath>
#include <cstring>
#include <random>

#include "native/core/cpu_runner.h"
#include "native/core/isa.h"
#include "test/native/check.h"

namespace air_test {

air::ArenaOptions arena_options_of(const TinyModel& tiny, const EngineOptions& options) {
  const int64_t pages = (options.max_context + options.page_tokens - 1) / options.page_tokens;
  air::ArenaOptions arena_options;
  arena_options.head_mask = options.head_mask;
  if (arena_options.head_mask.empty()) {
    arena_options.head_mask.assign(static_cast<size_t>(tiny.spec.layers * tiny.spec.kv_heads), 0);
  }
  arena_options.page_tokens = options.page_tokens;
  arena_options.page_counts.assign(static_cast<size_t>(options.groups), 1 + pages * options.sequences);
  arena_options.key_type = options.kv_type;
  arena_options.value_type = options.kv_type;
  arena_options.rotate_keys = options.rotate_keys;
  return arena_options;
}

Engine make_engine(const TinyModel& tiny, const AirKernelTable* kernels, const EngineOptions& options) {
  Engine engine;
  engine.pages_per_sequence = (options.max_context + options.page_tokens - 1) / options.page_tokens;
  air::Status status = air::KvArena::create(tiny.model, arena_options_of(tiny, options), &engine.arena);
  CHECK_MSG(status.ok(), status.message());
  air::RunnerOptions runner_options;
  runner_options.max_tokens = options.max_context;
  runner_options.max_sequences = options.sequences;
  runner_options.threads = options.threads;
  status = air::CpuRunner::create(*kernels, engine.arena, runner_options, &engine.runner);
  CHECK_MSG(status.ok(), status.message());
  return engine;
}

const AirKernelTable* best_kernels() { return air::usable_kernels().front(); }

int32_t page_of(const Engine& engine, int64_t id, int64_t index) {
  return static_cast<int32_t>((id + 1) * engine.pages_per_sequence - index);
}

air::Batch make_batch(const Engine& engine, const std::vector<int32_t>& tokens,
                      const std::vector<Piece>& pieces) {
  const int64_t groups = engine.arena->group_count();
  const int64_t page_tokens = engine.arena->layout().page_tokens;
  air::Batch batch;
  batch.sequence_starts.push_back(0);
  for (const Piece& piece : pieces) {
    for (int64_t i = piece.begin; i < piece.end; ++i) {
      batch.logit_rows.push_back(static_cast<int32_t>(batch.tokens.size()));
      batch.tokens.push_back(tokens[static_cast<size_t>(i)]);
      batch.positions.push_back(static_cast<int32_t>(i));
    }
    batch.sequence_starts.push_back(static_cast<int32_t>(batch.tokens.size()));
  }
  for (int64_t group = 0; group < groups; ++group) {
    for (const Piece& piece : pieces) {
      for (int64_t i = piece.begin; i < piece.end; ++i) {
        batch.slots.push_back(
            static_cast<int32_t>(page_of(engine, piece.id, i / page_tokens) * page_tokens + i % page_tokens));
      }
      for (int64_t page = 0; page < engine.pages_per_sequence; ++page) {
        const bool is_used = page * page_tokens < piece.end + piece.spare;
        batch.page_tables.push_back(is_used ? page_of(engine, piece.id, page) : 0);
      }
      batch.context_lengths.push_back(static_cast<int32_t>(piece.end));
    }
  }
  return batch;
}

std::vector<float> run(Engine& engine, const air::Batch& batch) {
  std::vector<float> logits(static_cast<size_t>(batch.row_count() * engine.runner->spec().vocab_size), NAN);
  const air::Status status = engine.runner->forward(batch, {logits.data()});
  CHECK_MSG(status.ok(), status.message());
  return logits;
}

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size) {
  std::mt19937 random(11);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  return tokens;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace air_test
