#include "native/core/weights/tensor.h"

#include "native/core/weights/block_formats.h"

namespace air {
namespace {

// Indexed by TensorType.
constexpr TensorTypeInfo kTypes[] = {
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q8_0", 32, sizeof(BlockQ8_0)},
    {"Q4_0", 32, sizeof(BlockQ4_0)},
    {"Q4_1", 32, sizeof(BlockQ4_1)},
    {"Q5_0", 32, sizeof(BlockQ5_0)},
    {"Q5_1", 32, sizeof(BlockQ5_1)},
    {"Q4_K", 256, sizeof(BlockQ4K)},
    {"Q5_K", 256, sizeof(BlockQ5K)},
    {"Q6_K", 256, sizeof(BlockQ6K)},
};
constexpr int kTypeCount = sizeof(kTypes) / sizeof(kTypes[0]);
static_assert(kTypeCount == static_cast<int>(TensorType::kQ6K) + 1);

std::string shape_text(const std::vector<int64_t>& shape) {
  constexpr size_t kShown = 8;
  std::string text = "[";
  for (size_t i = 0; i < shape.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + (shape.size() > kShown ? ", ...]" : "]");
}

}  // namespace

const TensorTypeInfo& tensor_type_info(TensorType type) noexcept { return kTypes[static_cast<int>(type)]; }

bool tensor_type_from_name(const std::string& name, TensorType* type) noexcept {
  for (int i = 0; i < kTypeCount; ++i) {
    if (name == kTypes[i].name) {
      *type = static_cast<TensorType>(i);
      return true;
    }
  }
  return false;
}

Status check_tensor(const Tensor& tensor) {
  const TensorTypeInfo& info = tensor_type_info(tensor.type);
  const std::string what = tensor.role + " (" + info.name + " " + shape_text(tensor.shape) + ")";
  bool shape_ok = tensor.shape.size() == 1 || tensor.shape.size() == 2;
  for (const int64_t dim : tensor.shape) shape_ok = shape_ok && dim > 0;
  if (!shape_ok) {
    return Status(StatusCode::kModelFormat, "expected 1 or 2 positive dimensions for " + tensor.role +
                                                " but received " + shape_text(tensor.shape));
  }
  if (tensor.cols() % info.block_values != 0) {
    return Status(StatusCode::kModelFormat, "expected rows of a multiple of " +
                                                std::to_string(info.block_values) + " values for " + what +
                                                " but received " + std::to_string(tensor.cols()));
  }
  int64_t row_bytes;
  int64_t bytes;
  if (__builtin_mul_overflow(tensor.cols() / info.block_values, info.block_bytes, &row_bytes) ||
      __builtin_mul_overflow(tensor.rows(), row_bytes, &bytes)) {
    return Status(StatusCode::kModelFormat,
                  "expected a size within 63 bits for " + tensor.role + " but received " + what);
  }
  if (tensor.length_bytes != bytes) {
    return Status(StatusCode::kModelFormat, "expected " + std::to_string(bytes) + " bytes for " + what +
                                                " but received " + std::to_string(tensor.length_bytes));
  }
  return Status();
}

}  // namespace air
