// A tiny model with an arena and a runner, and batches of plain texts for it.
#ifndef AIR_TEST_NATIVE_SUPPORT_TINY_ENGINE_H_
#define AIR_TEST_NATIVE_SUPPORT_TINY_ENGINE_H_

#include <memory>
#include <vector>

#include "native/core/runner.h"
#include "test/native/support/tiny_model.h"

namespace air_test {

// Sequences own page 1 + their slice of the arena, groups alike.
struct Engine {
  std::shared_ptr<air::KvArena> arena;
  std::unique_ptr<air::Runner> runner;
  int64_t pages_per_sequence = 0;
};

struct EngineOptions {
  int64_t max_context = 64;
  int64_t sequences = 1;
  int64_t page_tokens = 16;
  int64_t groups = 1;
  std::vector<uint8_t> head_mask;  // empty: all in group 0
  AirKvType kv_type = AIR_KV_F16;
  bool rotate_keys = false;
  int threads = 2;
};

air::ArenaOptions arena_options_of(const TinyModel& tiny, const EngineOptions& options);

Engine make_engine(const TinyModel& tiny, const AirKernelTable* kernels, const EngineOptions& options);

// The best that this machine can run.
const AirKernelTable* best_kernels();

// Tokens [begin, end) of sequence `id` as part of a step. Its page table has room for `spare` tokens more.
struct Piece {
  int64_t id;
  int64_t begin;
  int64_t end;
  int64_t spare = 0;
};

// The page of a sequence at an index of its table. Pages are used in descending order, so that a page's id says
// nothing about its place.
int32_t page_of(const Engine& engine, int64_t id, int64_t index);

// A step of these pieces of one text, with logits for every token.
air::Batch make_batch(const Engine& engine, const std::vector<int32_t>& tokens,
                      const std::vector<Piece>& pieces);

// The logits of a step, [rows, vocab_size]. Fails the running test when the forward fails.
std::vector<float> run(Engine& engine, const air::Batch& batch);

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size);

bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_SUPPORT_TINY_ENGINE_H_
