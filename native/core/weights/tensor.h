// A tensor as it lies in a mapped model file: type, shape and bytes, nothing packed.
#ifndef AIR_CORE_WEIGHTS_TENSOR_H_
#define AIR_CORE_WEIGHTS_TENSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "native/core/status.h"

namespace air {

// GGUF's block formats that we read (see native/core/weights/block_formats.h for their layouts).
enum class TensorType : int { kF32, kF16, kBf16, kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4K, kQ5K, kQ6K };

struct TensorTypeInfo {
  const char* name;      // as in GGUF, "Q4_K"
  int64_t block_values;  // weights per block
  int64_t block_bytes;
};
const TensorTypeInfo& tensor_type_info(TensorType type) noexcept;

// False when the name is not one of ours.
bool tensor_type_from_name(const std::string& name, TensorType* type) noexcept;

struct Tensor {
  std::string role;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;     // [rows, cols] or [length]
  const uint8_t* data = nullptr;  // within a mapping that outlives this view
  int64_t length_bytes = 0;

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t cols() const { return shape.empty() ? 0 : shape.back(); }
};

// Checks shape (1 or 2 positive dims, no overflow), whole blocks per row, and that length_bytes is exactly
// what type and shape need. AIR_ERR_MODEL_FORMAT otherwise, naming the role.
Status check_tensor(const Tensor& tensor);

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_TENSOR_H_
