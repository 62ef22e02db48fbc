#include "native/core/weights/column_squares.h"

#include <algorithm>

#include "native/core/mapped_file.h"
#include "native/core/weights/pack.h"

namespace air {

std::vector<double> column_squares(const Tensor& tensor) {
  constexpr int64_t kReleasedBytes = int64_t{1} << 20;  // of the file at a time
  const int64_t cols = tensor.cols();
  const int64_t row_bytes = tensor.length_bytes / tensor.rows();
  const int64_t rows_at_once = std::max<int64_t>(kReleasedBytes / row_bytes, 1);
  std::vector<double> sums(static_cast<size_t>(cols), 0.0);
  std::vector<float> values(static_cast<size_t>(cols));
  for (int64_t begin = 0; begin < tensor.rows(); begin += rows_at_once) {
    const int64_t end = std::min(begin + rows_at_once, tensor.rows());
    for (int64_t row = begin; row < end; ++row) {
      dequantize_row(tensor, row, values.data());
      for (size_t col = 0; col < sums.size(); ++col) {
        const double value = values[col];
        sums[col] += value * value;
      }
    }
    MappedFile::drop_resident(tensor.data + begin * row_bytes, (end - begin) * row_bytes);
  }
  return sums;
}

}  // namespace air
