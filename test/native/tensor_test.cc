#include "native/core/weights/tensor.h"

#include <cstring>

#include "native/core/weights/pack.h"
#include "test/native/check.h"

using air::Status;
using air::StatusCode;
using air::Tensor;
using air::TensorType;

namespace {

// A tensor that has a shape and a claimed length, but no bytes.
Tensor claim(TensorType type, std::vector<int64_t> shape, int64_t length_bytes) {
  Tensor tensor;
  tensor.role = "blk.0.attn_q.weight";
  tensor.type = type;
  tensor.shape = std::move(shape);
  tensor.length_bytes = length_bytes;
  return tensor;
}

void expect_refused(const Tensor& tensor, const char* part) {
  const Status status = air::check_tensor(tensor);
  CHECK(status.code() == StatusCode::kModelFormat);
  CHECK_MSG(status.message().find(part) != std::string::npos, status.message());
  CHECK_MSG(status.message().find("blk.0.attn_q.weight") != std::string::npos, status.message());
}

}  // namespace

TEST(tensor_types_are_found_by_their_gguf_names_and_have_their_sizes) {
  const struct {
    const char* name;
    TensorType type;
    int64_t values, bytes;
  } cases[] = {{"F32", TensorType::kF32, 1, 4},      {"F16", TensorType::kF16, 1, 2},
               {"BF16", TensorType::kBf16, 1, 2},    {"Q8_0", TensorType::kQ8_0, 32, 34},
               {"Q4_0", TensorType::kQ4_0, 32, 18},  {"Q4_1", TensorType::kQ4_1, 32, 20},
               {"Q5_0", TensorType::kQ5_0, 32, 22},  {"Q5_1", TensorType::kQ5_1, 32, 24},
               {"Q4_K", TensorType::kQ4K, 256, 144}, {"Q5_K", TensorType::kQ5K, 256, 176},
               {"Q6_K", TensorType::kQ6K, 256, 210}};
  for (const auto& c : cases) {
    TensorType type{};
    CHECK_MSG(air::tensor_type_from_name(c.name, &type) && type == c.type, c.name);
    const air::TensorTypeInfo& info = air::tensor_type_info(c.type);
    CHECK_EQ(std::string(info.name), c.name);
    CHECK_EQ(info.block_values, c.values);
    CHECK_EQ(info.block_bytes, c.bytes);
  }
}

TEST(tensor_type_names_that_are_not_ours_are_refused) {
  TensorType type = TensorType::kQ6K;
  for (const char* name : {"", "Q4_K_M", "q4_0", "IQ2_XXS", "F64"}) {
    CHECK_MSG(!air::tensor_type_from_name(name, &type), name);
  }
  CHECK(type == TensorType::kQ6K);
}

TEST(check_tensor_accepts_whole_rows_of_one_and_two_dimensions) {
  CHECK(air::check_tensor(claim(TensorType::kF32, {5}, 20)).ok());
  CHECK(air::check_tensor(claim(TensorType::kQ4_0, {3, 64}, 3 * 2 * 18)).ok());
  CHECK(air::check_tensor(claim(TensorType::kQ6K, {1, 512}, 2 * 210)).ok());
}

TEST(check_tensor_refuses_a_length_that_is_one_byte_off) {
  expect_refused(claim(TensorType::kQ4_0, {3, 64}, 107), "expected 108 bytes");
  expect_refused(claim(TensorType::kQ4_0, {3, 64}, 109), "received 109");
  expect_refused(claim(TensorType::kF16, {7}, 0), "expected 14 bytes");
  expect_refused(claim(TensorType::kF16, {7}, -14), "received -14");
}

TEST(check_tensor_refuses_rows_that_split_a_block) {
  expect_refused(claim(TensorType::kQ8_0, {2, 48}, 102), "multiple of 32");
  expect_refused(claim(TensorType::kQ4K, {2, 128}, 144), "multiple of 256");
}

TEST(check_tensor_refuses_absurd_shapes_without_overflow) {
  const int64_t huge = int64_t{1} << 60;
  expect_refused(claim(TensorType::kF32, {}, 0), "received []");
  expect_refused(claim(TensorType::kF32, {2, 2, 2}, 32), "1 or 2 positive dimensions");
  expect_refused(claim(TensorType::kF32, {0, 4}, 0), "1 or 2 positive dimensions");
  expect_refused(claim(TensorType::kF32, {-4, -4}, 64), "1 or 2 positive dimensions");
  expect_refused(claim(TensorType::kF32, {huge, huge}, 0), "within 63 bits");
  expect_refused(claim(TensorType::kQ4_0, {huge, 32}, 0), "within 63 bits");
  expect_refused(claim(TensorType::kF32, {1, INT64_MAX}, 0), "within 63 bits");
  expect_refused(claim(TensorType::kF32, std::vector<int64_t>(1000, 1), 4), "...");
}

TEST(plan_matrix_refuses_a_packed_size_that_overflows) {
  AirMatrix matrix;
  int64_t total = 0;
  const int64_t wide = int64_t{1} << 60;  // one row of 4-byte values, a valid size; a tile of 16 rows is not
  CHECK(air::plan_matrix(claim(TensorType::kF32, {1, wide}, wide * 4), {}, AIR_LAYOUT_QUADS, &matrix, &total)
            .code() == StatusCode::kModelFormat);
  const int64_t tall = 500000000000000000;  // 18 bytes a row in the file, 20 packed (padded scales)
  CHECK(
      air::plan_matrix(claim(TensorType::kQ4_0, {tall, 32}, tall * 18), {}, AIR_LAYOUT_QUADS, &matrix, &total)
          .code() == StatusCode::kModelFormat);
}

TEST(status_code_name_gives_every_code_its_javascript_name) {
  const struct {
    StatusCode code;
    const char* name;
  } cases[] = {{StatusCode::kOk, "AIR_OK"},
               {StatusCode::kArgument, "AIR_ERR_ARGUMENT"},
               {StatusCode::kShape, "AIR_ERR_SHAPE"},
               {StatusCode::kPageRange, "AIR_ERR_PAGE_RANGE"},
               {StatusCode::kBusy, "AIR_ERR_BUSY"},
               {StatusCode::kClosed, "AIR_ERR_CLOSED"},
               {StatusCode::kCancelled, "AIR_ERR_CANCELLED"},
               {StatusCode::kModelFormat, "AIR_ERR_MODEL_FORMAT"},
               {StatusCode::kUnsupported, "AIR_ERR_UNSUPPORTED"},
               {StatusCode::kNoDevice, "AIR_ERR_NO_DEVICE"},
               {StatusCode::kDevice, "AIR_ERR_DEVICE"},
               {StatusCode::kOutOfMemory, "AIR_ERR_OUT_OF_MEMORY"},
               {StatusCode::kIo, "AIR_ERR_IO"},
               {StatusCode::kInternal, "AIR_ERR_INTERNAL"}};
  for (const auto& c : cases) CHECK_EQ(std::string(air::status_code_name(c.code)), c.name);
}

TEST(status_code_name_calls_a_value_outside_the_enum_internal) {
  CHECK_EQ(std::string(air::status_code_name(static_cast<StatusCode>(99))), "AIR_ERR_INTERNAL");
}
