// The part of a matrix that is packed: some of its rows, some groups of 32 of its columns.
#ifndef AIR_CORE_WEIGHTS_SELECTION_H_
#define AIR_CORE_WEIGHTS_SELECTION_H_

#include <cstdint>
#include <vector>

#include "native/core/status.h"
#include "native/core/weights/tensor.h"

namespace air {

// What is kept, ascending. An empty list keeps all: a matrix of which nothing is kept is not packed at all.
struct MatrixSelection {
  std::vector<int64_t> rows;
  std::vector<int64_t> column_groups;  // group g is the columns [32 g, 32 g + 32), or what there is of them

  bool is_all() const { return rows.empty() && column_groups.empty(); }
  // Sizes of the packed matrix.
  int64_t row_count(const Tensor& tensor) const;
  int64_t col_count(const Tensor& tensor) const;
  // The file's row that becomes row `packed`.
  int64_t row(int64_t packed) const { return rows.empty() ? packed : rows[static_cast<size_t>(packed)]; }
};

// AIR_ERR_ARGUMENT for rows or groups that the tensor has not, or that do not ascend. The tensor has passed
// check_tensor.
Status check_selection(const Tensor& tensor, const MatrixSelection& selection);

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_SELECTION_H_
