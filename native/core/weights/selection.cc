#include "native/core/weights/selection.h"

#include <string>

#include "kernels/include/air_formats.h"

namespace air {
namespace {

int64_t column_groups_of(const Tensor& tensor) { return (tensor.cols() + AIR_GROUP - 1) / AIR_GROUP; }

bool ascends_below(const std::vector<int64_t>& indices, int64_t end) {
  int64_t last = -1;
  for (const int64_t index : indices) {
    if (index <= last || index >= end) return false;
    last = index;
  }
  return true;
}

Status bad_selection(const Tensor& tensor, const char* what, int64_t count) {
  return {StatusCode::kArgument, "expected ascending " + std::string(what) + " below " +
                                     std::to_string(count) + " for the selection of " + tensor.role +
                                     " but received others"};
}

}  // namespace

int64_t MatrixSelection::row_count(const Tensor& tensor) const {
  return rows.empty() ? tensor.rows() : static_cast<int64_t>(rows.size());
}

int64_t MatrixSelection::col_count(const Tensor& tensor) const {
  if (column_groups.empty()) return tensor.cols();
  const int64_t cols = static_cast<int64_t>(column_groups.size()) * AIR_GROUP;
  const bool has_last = column_groups.back() == column_groups_of(tensor) - 1;  // it may be short
  return has_last ? cols - (column_groups_of(tensor) * AIR_GROUP - tensor.cols()) : cols;
}

Status check_selection(const Tensor& tensor, const MatrixSelection& selection) {
  if (!ascends_below(selection.rows, tensor.rows())) return bad_selection(tensor, "rows", tensor.rows());
  if (!ascends_below(selection.column_groups, column_groups_of(tensor))) {
    return bad_selection(tensor, "column groups", column_groups_of(tensor));
  }
  return {};
}

}  // namespace air
