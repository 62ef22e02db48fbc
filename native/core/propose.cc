#include "native/core/propose.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/core/next_batch.h"
#include "native/core/row_ops.h"

namespace air {

namespace {

constexpr int32_t kMaxCount = 1024;

}  // namespace

Status check_request(const ProposeRequest& request, int64_t max_sequences) {
  const Batch& batch = request.batch;
  const int64_t sequences = batch.sequence_count();
  if (sequences < 1 || sequences > max_sequences) {
    return {StatusCode::kShape, "expected 2 to maxSequences + 1 (" + std::to_string(max_sequences + 1) +
                                    ") entries for sequenceStarts but received " +
                                    std::to_string(sequences + 1)};
  }
  if (static_cast<int64_t>(request.counts.size()) != sequences) {
    return {StatusCode::kShape, "expected an entry for each of " + std::to_string(sequences) +
                                    " sequences for counts but received " +
                                    std::to_string(request.counts.size())};
  }
  for (int64_t s = 0; s < sequences; ++s) {
    const int32_t count = request.counts[static_cast<size_t>(s)];
    if (count < 1 || count > kMaxCount) {
      return {StatusCode::kArgument, "expected 1 to " + std::to_string(kMaxCount) + " for counts[" +
                                         std::to_string(s) + "] but received " + std::to_string(count)};
    }
  }
  bool is_last_rows = batch.row_count() == sequences;
  for (int64_t s = 0; is_last_rows && s < sequences; ++s) {
    is_last_rows =
        batch.logit_rows[static_cast<size_t>(s)] + 1 == batch.sequence_starts[static_cast<size_t>(s + 1)];
  }
  if (!is_last_rows) {
    return {StatusCode::kShape, "expected the last token of each sequence for logitRows but received others"};
  }
  return {};
}

Status propose_by_steps(Runner& runner, const ProposeRequest& request, std::vector<float>* logits,
                        ProposeResult* result) {
  AIR_RETURN_IF_ERROR(check_request(request, runner.options().max_sequences));
  const int64_t sequences = request.batch.sequence_count();
  const int64_t vocab_size = runner.spec().vocab_size;
  result->width = *std::max_element(request.counts.begin(), request.counts.end());
  result->tokens.assign(static_cast<size_t>(sequences * result->width), -1);
  result->confidence.assign(static_cast<size_t>(sequences * result->width), 0.0F);
  if (static_cast<int64_t>(logits->size()) < sequences * vocab_size)
    logits->resize(static_cast<size_t>(sequences * vocab_size));

  std::vector<Draft> drafts(static_cast<size_t>(sequences));
  for (int64_t s = 0; s < sequences; ++s) drafts[static_cast<size_t>(s)].sequence = s;
  const NextBatch next(request.batch, runner.arena().group_count(), runner.arena().layout().page_tokens);
  Batch fed;
  for (int32_t step = 0; !drafts.empty(); ++step) {
    AIR_RETURN_IF_ERROR(runner.forward(step == 0 ? request.batch : fed, {logits->data()}));
    std::vector<Draft> going_on;
    for (size_t i = 0; i < drafts.size(); ++i) {
      Draft draft = drafts[i];
      const float* row = logits->data() + static_cast<int64_t>(i) * vocab_size;
      draft.token = argmax_row(row, vocab_size);
      if (draft.token < 0) continue;  // NaN: nothing to draft
      const float probability = peak_probability(row, vocab_size, draft.token);
      draft.confidence *= probability;
      const auto out = static_cast<size_t>(draft.sequence * result->width + step);
      result->tokens[out] = draft.token;
      result->confidence[out] = probability;
      const bool is_sure = draft.confidence >= request.min_confidence;
      if (is_sure && step + 1 < request.counts[static_cast<size_t>(draft.sequence)])
        going_on.push_back(draft);
    }
    drafts = std::move(going_on);
    fed = Batch();
    if (!drafts.empty() && !next.build(drafts, step + 1, &fed)) {
      return {StatusCode::kPageRange,
              "expected pages for the drafted tokens too for pageTables but a table ends before"};
    }
  }
  return {};
}

}  // namespace air
