// How much each column of a file's matrix weighs.
#ifndef AIR_CORE_WEIGHTS_COLUMN_SQUARES_H_
#define AIR_CORE_WEIGHTS_COLUMN_SQUARES_H_

#include <vector>

#include "native/core/weights/tensor.h"

namespace air {

// Sum of squares of each column, [cols], of the file's own values. Reads the whole tensor and releases its
// resident pages as it goes.
std::vector<double> column_squares(const Tensor& tensor);

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_COLUMN_SQUARES_H_
