// air_step_embed against the host's dequantisation, bit for bit, for every type that a token embedding may have.
#include <cstring>
#include <string>
#include <vector>

#include "native/core/weights/pack.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/support/random_tensor.h"

using air::TensorType;
using air::cuda::EmbedParams;
using air_test::DeviceArray;

namespace {

constexpr int64_t kVocabulary = 9;
constexpr uint32_t kUntouched = 0xffffffffu;

// tokens: of the rows that exist; `most` rows are launched.
void check_type(TensorType type, int64_t cols, const std::vector<int32_t>& tokens, uint32_t most) {
  const air_test::OwnedTensor tensor = air_test::random_tensor(type, kVocabulary, cols, 3);
  const std::string name = std::string(air::tensor_type_info(type).name) + " cols=" + std::to_string(cols);
  const auto* bytes = tensor.view.data;
  DeviceArray<uint8_t> table("table", std::vector<uint8_t>(bytes, bytes + tensor.view.length_bytes));
  std::vector<int32_t> padded = tokens;
  padded.resize(most, -12345);  // of rows that nobody may look at
  DeviceArray<int32_t> device_tokens("tokens", padded);
  DeviceArray<int32_t> row_count("row_count", std::vector<int32_t>{static_cast<int32_t>(tokens.size())});
  DeviceArray<float> residual("residual", most * static_cast<size_t>(cols));
  EmbedParams p = {};
  p.table = table.data();
  p.tokens = device_tokens.data();
  p.row_count = row_count.data();
  p.residual = residual.data();
  p.row_bytes = tensor.view.length_bytes / kVocabulary;
  p.cols = static_cast<int32_t>(cols);
  p.type = static_cast<air::cuda::EmbeddingType>(type);
  air::cuda::LaunchShape shape;
  shape.grid_x = most;
  shape.threads = 256;
  CHECK_LAUNCH(air_step_embed, shape, p);
  const std::vector<float> out = residual.download();
  std::vector<float> expected(static_cast<size_t>(cols));
  for (size_t row = 0; row < most; ++row) {
    if (row < tokens.size()) air::dequantize_row(tensor.view, tokens[row], expected.data());
    for (size_t k = 0; k < expected.size(); ++k) {
      uint32_t bits, want = kUntouched;
      std::memcpy(&bits, &out[row * expected.size() + k], sizeof bits);
      if (row < tokens.size()) std::memcpy(&want, &expected[k], sizeof want);
      CHECK_MSG(bits == want, name + " row=" + std::to_string(row) + " k=" + std::to_string(k));
    }
  }
}

}  // namespace

TEST(every_type_is_dequantised_as_on_the_host) {
  for (int type = 0; type <= static_cast<int>(TensorType::kQ6K); ++type) {
    const auto tensor_type = static_cast<TensorType>(type);
    const int64_t block = air::tensor_type_info(tensor_type).block_values;
    check_type(tensor_type, block == 256 ? 768 : 288, {0, 8, 3, 3}, 4);
  }
}

TEST(rows_past_the_count_are_left_alone) { check_type(TensorType::kQ4_0, 64, {5}, 4); }

TEST(rows_of_odd_length_are_whole) {
  check_type(TensorType::kF32, 37, {1, 2}, 2);
  check_type(TensorType::kF16, 301, {1, 2}, 2);
  check_type(TensorType::kBf16, 5, {7}, 1);
}
