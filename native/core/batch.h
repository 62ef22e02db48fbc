// One ragged step, copied in from the caller: prefill, decode and verification differ only in its numbers.
#ifndef AIR_CORE_BATCH_H_
#define AIR_CORE_BATCH_H_

#include <cstdint>
#include <vector>

#include "native/core/kv_arena.h"
#include "native/core/status.h"

namespace air {

// G head groups, S sequences, T tokens, R logit rows, P pages per table. lib/native/native.ts says the same.
struct Batch {
  std::vector<int32_t> tokens;           // [T]
  std::vector<int32_t> positions;        // [T]
  std::vector<int32_t> slots;            // [G, T]; -1 writes nothing
  std::vector<int32_t> sequence_starts;  // [S + 1]
  std::vector<int32_t> page_tables;      // [G, S, P]
  std::vector<int32_t> context_lengths;  // [G, S]
  std::vector<int32_t> logit_rows;       // [R], strictly ascending
  std::vector<int32_t> sink_tokens;      // [G, S], or empty: none
  std::vector<int32_t> window_tokens;    // [G, S], or empty: 0, everything
  std::vector<int32_t> evicted_tokens;   // [G, S], or empty: 0
  std::vector<uint8_t> query_gates;      // [layers, query_heads], or empty: all open

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequence_count() const { return static_cast<int64_t>(sequence_starts.size()) - 1; }
  int64_t row_count() const { return static_cast<int64_t>(logit_rows.size()); }
  // Whether a query head is computed; heads are numbered layer * query heads + head.
  bool is_open(int64_t query_head) const {
    return query_gates.empty() || query_gates[static_cast<size_t>(query_head)] != 0;
  }
};

// What a token of the step reads from one head group. [groups, tokens]
struct ReadRange {
  const int32_t* page_table = nullptr;  // the sequence's pages, in cache order
  int32_t sink_tokens = 0;
  int32_t window_start = 0;
  // Of the text's entries, the dropped ones included, [0, sink_tokens) and [window_start, end) are read. Those that
  // were dropped are [gap_begin, gap_begin + gap).
  int32_t end = 0;
  int32_t gap_begin = 0;
  int32_t gap = 0;
  int32_t sink_shift = 0;  // how far before the token's position its sink queries are rotated to
};

// Checks every index against the model, the arena and the limits, and fills `ranges` (group-major). After it
// succeeds, the forward pass reads and writes within bounds.
Status check_batch(const Batch& batch, const KvArena& arena, int64_t max_tokens, int64_t max_sequences,
                   std::vector<ReadRange>* ranges);

}  // namespace air

#endif  // AIR_CORE_BATCH_H_
