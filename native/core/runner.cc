#include "native/core/runner.h"

#include <string>

namespace air {

Status check_output(const Batch& batch, const StepOutput& output, const Model& model) {
  if (output.logit_count < -1 || output.logit_count > batch.row_count()) {
    return {StatusCode::kArgument, "expected at most " + std::to_string(batch.row_count()) +
                                       " rows for logitCount but received " +
                                       std::to_string(output.logit_count)};
  }
  if (output.attended_squares == nullptr) return {};
  if (model.is_pruned()) {
    return {StatusCode::kArgument, "expected a model without pruning for activity but received a pruned one"};
  }
  if (batch.row_count() != batch.token_count()) {
    return {StatusCode::kArgument, "expected logitRows of every token (" +
                                       std::to_string(batch.token_count()) + ") for activity but received " +
                                       std::to_string(batch.row_count())};
  }
  return {};
}

}  // namespace air
