// Drafting: a model feeds its own likeliest tokens back to itself for a few steps, in one call.
#ifndef AIR_CORE_PROPOSE_H_
#define AIR_CORE_PROPOSE_H_

#include <cstdint>
#include <vector>

#include "native/core/batch.h"
#include "native/core/runner.h"
#include "native/core/status.h"

namespace air {

struct ProposeRequest {
  // The known tokens. One logit row for each sequence, that of its last token, in order. Page tables hold the
  // pages for the fed-back tokens too: counts[s] - 1 cache entries past the context length.
  Batch batch;
  std::vector<int32_t> counts;  // [S] tokens to draft, at least 1
  // A sequence drafts no further when the product of its tokens' probabilities falls below this.
  float min_confidence = 0;
};

struct ProposeResult {
  int64_t width = 0;              // the largest count
  std::vector<int32_t> tokens;    // [S, width], -1 after the last one
  std::vector<float> confidence;  // [S, width] the draft model's probability of each, 0 after the last one
};

// Computes the batch, takes the likeliest token of each row, feeds it back, and so on. A sequence that drafted n
// tokens has written n - 1 entries past the batch's. `logits` is scratch that keeps its size from call to call.
// After an error, what a failed forward() leaves behind.
Status propose_by_steps(Runner& runner, const ProposeRequest& request, std::vector<float>* logits,
                        ProposeResult* result);

// What a forward does not check of the request.
Status check_request(const ProposeRequest& request, int64_t max_sequences);

}  // namespace air

#endif  // AIR_CORE_PROPOSE_H_
