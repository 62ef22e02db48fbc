// The steps of a proposal after its first.
#ifndef AIR_CORE_NEXT_BATCH_H_
#define AIR_CORE_NEXT_BATCH_H_

#include <cstdint>
#include <vector>

#include "native/core/batch.h"

namespace air {

// A sequence that is still drafting.
struct Draft {
  int64_t sequence = 0;  // of the request
  int32_t token = 0;     // drafted last
  float confidence = 1;  // product over the drafted tokens
};

// The step that feeds each draft its last token, `step` tokens after those of `first`.
class NextBatch {
 public:
  NextBatch(const Batch& first, int64_t groups, int64_t page_tokens)
      : first_(first),
        groups_(groups),
        page_tokens_(page_tokens),
        sequences_(first.sequence_count()),
        pages_(static_cast<int64_t>(first.page_tables.size()) / (groups * sequences_)) {}

  // False when a draft's page table ends. `batch` is empty before.
  bool build(const std::vector<Draft>& drafts, int32_t step, Batch* batch) const;

 private:
  bool add_cell(int64_t cell, int32_t step, Batch* batch) const;

  const Batch& first_;
  const int64_t groups_;
  const int64_t page_tokens_;
  const int64_t sequences_;
  const int64_t pages_;
};

}  // namespace air

#endif  // AIR_CORE_NEXT_BATCH_H_
