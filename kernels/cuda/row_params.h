// What the kernels over rows of logits are given: shared by kernels and host, plain C++. Semantics are those of
// native/core/row_ops.h. Pointers are the device's; rows past the count that is read from there are left alone.
#ifndef AIR_KERNELS_CUDA_ROW_PARAMS_H_
#define AIR_KERNELS_CUDA_ROW_PARAMS_H_

#include <stdint.h>

namespace air::cuda {

constexpr int32_t kMaxTopK = 1024;

// row = softmax(row / temperature), in place
struct SoftmaxParams {
  float* rows;  // [rows, cols]
  const int32_t* row_count;
  const float* temperatures;  // [rows], above 0
  int32_t cols;
};

// The k largest of each row in descending order, equals by lower index; NaN counts as -infinity.
struct TopKParams {
  const float* rows;  // [rows, cols]
  const int32_t* row_count;
  int32_t* ids;   // [rows, k]
  float* values;  // [rows, k]
  int32_t cols;
  int32_t k;  // 1 .. min(cols, kMaxTopK)
};

// DrawKey of native/core/row_ops.h.
struct DeviceDrawKey {
  uint64_t seed;
  uint32_t position;
  uint32_t purpose;
};

// An index with probability weights[index] / total; -1 when no weight is positive, or one is negative or not finite.
struct SampleParams {
  const float* weights;  // [rows, cols]
  const int32_t* ids;    // [rows, cols] tokens of the weights; null: 0 .. cols - 1
  const int32_t* row_count;
  const DeviceDrawKey* keys;  // [rows]
  int32_t* indices;           // [rows]
  int32_t cols;
};

// out = normalise(max(0, target - draft)); equal rows: out = target. out may be target.
struct ResidualParams {
  const float* target;  // [rows, cols]
  const float* draft;   // [rows, cols]
  const int32_t* row_count;
  float* out;  // [rows, cols]
  int32_t cols;
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_ROW_PARAMS_H_
