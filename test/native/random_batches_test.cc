// Random steps of several sequences and head groups, with windows, sinks, dropped tokens and masked heads: each row is what
// it is alone, and no batch, however wrong, reads or writes beyond its memory (the sanitizers look).
#include <algorithm>
#include <climits>
#include <numeric>
#include <string>

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
using air_test::make_engine;
using air_test::page_of;
using air_test::Random;
using air_test::same_bits;
using air_test::TinyModel;

constexpr int kGroups = 2, kSequences = 3, kMostTokens = 24, kContext = 600;  // past one split of 512 entries
constexpr int kPageTokens = 16;

// What one sequence of a step is made of.
struct Text {
  int64_t id = 0;
  std::vector<int32_t> tokens;
  int32_t position = 0;  // of the first token
  struct Group {
    int32_t cached = 0;           // before the step
    std::vector<bool> is_stored;  // [tokens]
    int32_t sinks = 0, window = 0, evicted = 0;
  } groups[kGroups];
};

template <size_t kCount>
int32_t any_of(Random& random, const int32_t (&values)[kCount]) {
  return values[random.between(0, static_cast<int>(kCount) - 1)];
}

Text random_text(Random& random, int64_t id, int32_t vocab_size) {
  Text text;
  text.id = id;
  text.tokens.resize(static_cast<size_t>(random.between(1, kMostTokens)));
  for (int32_t& token : text.tokens) token = random.between(0, vocab_size - 1);
  for (Text::Group& group : text.groups) {
    group.cached =
        random.between(0, 3) == 0 ? random.between(0, 20) : random.between(0, kContext - kMostTokens);
    int32_t context = group.cached;
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      group.is_stored.push_back(random.between(0, 9) > 0);
      context += group.is_stored.back() ? 1 : 0;
    }
    group.sinks = std::min(any_of(random, {0, 1, 5, 16, 20, 530}), context);
    group.window = any_of(random, {0, 1, 7, 64, 100, 600});
    const int32_t sink_pages = (group.sinks + kPageTokens - 1) / kPageTokens;
    const bool may_drop = group.cached > sink_pages * kPageTokens;
    if (may_drop && random.between(0, 1) == 0) group.evicted = random.between(1, 90) * kPageTokens;
    text.position = std::max(text.position, group.cached + group.evicted);
  }
  text.position += random.between(0, 30);
  return text;
}

// A step of tokens [begin, end) of each text.
struct Piece {
  const Text* text;
  size_t begin, end;
};

Batch batch_of(const Engine& engine, const std::vector<Piece>& pieces) {
  Batch batch;
  batch.sequence_starts.push_back(0);
  for (const Piece& piece : pieces) {
    for (size_t i = piece.begin; i < piece.end; ++i) {
      batch.logit_rows.push_back(static_cast<int32_t>(batch.tokens.size()));
      batch.tokens.push_back(piece.text->tokens[i]);
      batch.positions.push_back(piece.text->position + static_cast<int32_t>(i));
    }
    batch.sequence_starts.push_back(static_cast<int32_t>(batch.tokens.size()));
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (const Piece& piece : pieces) {
      const Text::Group& group = piece.text->groups[g];
      int32_t entries = group.cached;
      for (size_t i = 0; i < piece.end; ++i) {
        const int32_t page = page_of(engine, piece.text->id, entries / kPageTokens);
        const int32_t slot = group.is_stored[i] ? page * kPageTokens + entries % kPageTokens : -1;
        if (i >= piece.begin) batch.slots.push_back(slot);
        entries += group.is_stored[i] ? 1 : 0;
      }
      for (int64_t page = 0; page < engine.pages_per_sequence; ++page)
        batch.page_tables.push_back(page * kPageTokens < entries ? page_of(engine, piece.text->id, page) : 0);
      batch.context_lengths.push_back(entries);
      batch.sink_tokens.push_back(std::min(group.sinks, entries));
      batch.window_tokens.push_back(group.window);
      batch.evicted_tokens.push_back(group.evicted);
    }
  }
  return batch;
}

struct Result {
  air::Status status;
  std::vector<float> logits, mass;
};

Result compute(Engine& engine, const Batch& batch) {
  Result result;
  result.logits.assign(batch.logit_rows.size() * static_cast<size_t>(engine.runner->spec().vocab_size), 7.0F);
  result.mass.assign(batch.page_tables.size(), 7.0F);
  air::StepOutput output;
  output.logits = result.logits.data();
  output.page_mass = result.mass.data();
  result.status = engine.runner->forward(batch, output);
  return result;
}

// The masses of one sequence of a step, [groups, pages].
std::vector<float> masses_of(const Result& result, size_t sequence, size_t sequences, size_t pages) {
  std::vector<float> masses;
  for (size_t g = 0; g < kGroups; ++g) {
    const auto first = result.mass.begin() + static_cast<std::ptrdiff_t>((g * sequences + sequence) * pages);
    masses.insert(masses.end(), first, first + static_cast<std::ptrdiff_t>(pages));
  }
  return masses;
}

Engine random_engine(Random& random, const TinyModel& tiny, const AirKernelTable* kernels, int threads) {
  EngineOptions options;
  options.max_context = kContext;
  options.sequences = kSequences;
  options.groups = kGroups;
  options.page_tokens = kPageTokens;
  options.kv_type = static_cast<AirKvType>(random.between(0, 2));
  options.rotate_keys = random.between(0, 1) == 0;
  options.threads = threads;
  for (int64_t head = 0; head < tiny.spec.layers * tiny.spec.kv_heads; ++head)
    options.head_mask.push_back(static_cast<uint8_t>(any_of(random, {0, 1, 1, 255})));
  Engine engine = make_engine(tiny, kernels, options);
  const auto tokens = air_test::random_tokens(kContext, tiny.spec.vocab_size);
  for (int64_t id = 0; id < kSequences; ++id)
    run(engine, air_test::make_batch(engine, tokens, {{id, 0, kContext}}));
  return engine;
}

std::vector<uint8_t> random_gates(Random& random, const air::DecoderSpec& spec) {
  std::vector<uint8_t> gates;
  if (random.between(0, 1) == 0) return gates;
  for (int64_t head = 0; head < spec.layers * spec.query_heads; ++head)
    gates.push_back(random.between(0, 3) > 0 ? 1 : 0);
  return gates;
}

std::vector<Text> random_texts(Random& random, const air::DecoderSpec& spec) {
  std::vector<Text> texts;
  for (int64_t id = 0; id < kSequences; ++id) {
    if (random.between(0, 3) > 0 || texts.empty())
      texts.push_back(random_text(random, id, static_cast<int32_t>(spec.vocab_size)));
  }
  if (random.between(0, 1) == 0) std::reverse(texts.begin(), texts.end());
  return texts;
}

void check_rows_alone(Random& random, Engine& engine, const std::string& what) {
  const std::vector<Text> texts = random_texts(random, engine.runner->spec());
  std::vector<Piece> pieces;
  for (const Text& text : texts) pieces.push_back({&text, 0, text.tokens.size()});
  Batch batch = batch_of(engine, pieces);
  batch.query_gates = random_gates(random, engine.runner->spec());
  const Result together = compute(engine, batch);
  CHECK_MSG(together.status.ok(), what + ": " + together.status.message());
  std::vector<float> rows;
  const auto pages = static_cast<size_t>(engine.pages_per_sequence);
  for (size_t s = 0; s < texts.size(); ++s) {
    for (size_t i = 0; i < texts[s].tokens.size(); ++i) {
      Batch single = batch_of(engine, {{&texts[s], i, i + 1}});
      single.query_gates = batch.query_gates;
      const Result alone = compute(engine, single);
      CHECK_MSG(alone.status.ok(), what + ", alone: " + alone.status.message());
      rows.insert(rows.end(), alone.logits.begin(), alone.logits.end());
      if (i + 1 < texts[s].tokens.size()) continue;
      CHECK_MSG(same_bits(alone.mass, masses_of(together, s, texts.size(), pages)), what + ", mass");
    }
  }
  CHECK_MSG(same_bits(together.logits, rows), what);
}

// Spoils a few numbers of a batch.
void spoil(Random& random, Batch* batch) {
  std::vector<int32_t>* const fields[] = {
      &batch->tokens,        &batch->positions,       &batch->slots,      &batch->sequence_starts,
      &batch->page_tables,   &batch->context_lengths, &batch->logit_rows, &batch->sink_tokens,
      &batch->window_tokens, &batch->evicted_tokens};
  for (int change = random.between(1, 3); change > 0; --change) {
    std::vector<int32_t>& field = *fields[random.between(0, 9)];
    const int kind = random.between(0, 9);
    if (kind == 0) {
      field.clear();
    } else if (kind == 1) {
      field.push_back(random.between(0, 40));
    } else if (!field.empty()) {
      int32_t& value = field[static_cast<size_t>(random.between(0, static_cast<int>(field.size()) - 1))];
      const int32_t near = value > INT_MAX - 40 ? value : value + random.between(-40, 40);
      const int32_t other[] = {INT_MIN, -1, 0, 1, 16, 0x7ffffff0, INT_MAX, near, near, near};
      value = any_of(random, other);
    }
  }
}

}  // namespace

TEST(rows_of_random_steps_are_those_of_the_tokens_one_by_one) {
  Random random(17);
  air_test::TinyOptions tiny_options;
  tiny_options.query_heads = 6;  // three to a KV head, so that tiles end within neighbours
  for (const AirKernelTable* kernels : air::usable_kernels()) {
    tiny_options.layout = kernels->layout;
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    for (int kind = 0; kind < 4; ++kind) {
      Engine engine = random_engine(random, tiny, kernels, random.between(1, 3));
      for (int step = 0; step < (air_test::kIsSlow ? 1 : 3); ++step)
        check_rows_alone(random, engine, std::string(kernels->isa) + ", " + std::to_string(3 * kind + step));
    }
  }
}

TEST(spoilt_batches_are_refused_or_stay_within_bounds) {
  Random random(23);
  const TinyModel tiny = air_test::make_tiny_model({});
  int refused = 0, computed = 0;
  for (int kind = 0; kind < 4; ++kind) {
    Engine engine = random_engine(random, tiny, best_kernels(), 1);
    for (int step = 0; step < (air_test::kIsSlow ? 25 : 75); ++step) {
      const std::vector<Text> texts = random_texts(random, tiny.spec);
      std::vector<Piece> pieces;
      for (const Text& text : texts) pieces.push_back({&text, 0, text.tokens.size()});
      Batch batch = batch_of(engine, pieces);
      spoil(random, &batch);
      const Result result = compute(engine, batch);
      ++(result.status.ok() ? computed : refused);
      CHECK(result.status.ok() || !std::string(result.status.message()).empty());
    }
  }
  CHECK_MSG(refused > (air_test::kIsSlow ? 33 : 100), std::to_string(refused));
  CHECK_MSG(computed > (air_test::kIsSlow ? 10 : 30), std::to_string(computed));
}
