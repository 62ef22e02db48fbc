#include "native/core/next_batch.h"

namespace air {

bool NextBatch::build(const std::vector<Draft>& drafts, int32_t step, Batch* batch) const {
  batch->query_gates = first_.query_gates;
  batch->sequence_starts.assign(1, 0);
  for (const Draft& draft : drafts) {
    const auto last =
        static_cast<size_t>(first_.sequence_starts[static_cast<size_t>(draft.sequence + 1)]) - 1;
    batch->tokens.push_back(draft.token);
    batch->positions.push_back(static_cast<int32_t>(int64_t{first_.positions[last]} + step));
    batch->logit_rows.push_back(batch->sequence_starts.back());
    batch->sequence_starts.push_back(batch->sequence_starts.back() + 1);
  }
  for (int64_t group = 0; group < groups_; ++group) {
    for (const Draft& draft : drafts) {
      if (!add_cell(group * sequences_ + draft.sequence, step, batch)) return false;
    }
  }
  return true;
}

bool NextBatch::add_cell(int64_t cell, int32_t step, Batch* batch) const {
  const auto at = static_cast<size_t>(cell);
  const int32_t* table = first_.page_tables.data() + cell * pages_;
  const int64_t context = int64_t{first_.context_lengths[at]} + step;
  if (context > pages_ * page_tokens_) return false;
  const int64_t index = context - 1;
  batch->slots.push_back(
      static_cast<int32_t>(table[index / page_tokens_] * page_tokens_ + index % page_tokens_));
  batch->page_tables.insert(batch->page_tables.end(), table, table + pages_);
  batch->context_lengths.push_back(static_cast<int32_t>(context));
  const auto copy = [at](const std::vector<int32_t>& from, std::vector<int32_t>* to) {
    if (!from.empty()) to->push_back(from[at]);
  };
  copy(first_.sink_tokens, &batch->sink_tokens);
  copy(first_.window_tokens, &batch->window_tokens);
  copy(first_.evicted_tokens, &batch->evicted_tokens);
  return true;
}

}  // namespace air
