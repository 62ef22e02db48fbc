#include "test/kernels/support/matmul_case.h"

#include <cmath>

#include "native/core/half.h"
#include "native/core/weights/pack.h"
#include "test/kernels/support/device_array.h"
#include "test/native/check.h"
#include "test/native/kernel_cases.h"
#include "test/native/support/unpack.h"

using air::cuda::Arrangement;
using air::cuda::MatmulKernel;
using air::cuda::MatmulParams;
using air::cuda::MatmulStore;
using air::cuda::WeightFormat;

#define AIR_DECLARE_MATMUL(name)                       \
  void air_matmul_##name##_decode_1x1(MatmulParams p); \
  void air_matmul_##name##_decode_2x1(MatmulParams p); \
  void air_matmul_##name##_decode_4x1(MatmulParams p); \
  void air_matmul_##name##_decode_2x2(MatmulParams p); \
  void air_matmul_##name##_decode_2x4(MatmulParams p); \
  void air_matmul_##name##_prefill(MatmulParams p)
extern "C" {
AIR_DECLARE_MATMUL(int4);
AIR_DECLARE_MATMUL(int4_min);
AIR_DECLARE_MATMUL(int8);
AIR_DECLARE_MATMUL(int8_min);
AIR_DECLARE_MATMUL(int8_group16);
AIR_DECLARE_MATMUL(f16);
void air_matmul_f32(MatmulParams p);
}

namespace air_test {

MatmulFunction find_matmul(WeightFormat format, MatmulKernel kernel) {
#define AIR_MATMUL_ROW(name)                                                                                 \
  {                                                                                                          \
    air_matmul_##name##_decode_1x1, air_matmul_##name##_decode_2x1, air_matmul_##name##_decode_4x1,          \
        air_matmul_##name##_decode_2x2, air_matmul_##name##_decode_2x4, air_matmul_##name##_prefill, nullptr \
  }
  static constexpr MatmulFunction kFunctions[air::cuda::kWeightFormats][air::cuda::kMatmulKernels] = {
      AIR_MATMUL_ROW(int4),
      AIR_MATMUL_ROW(int4_min),
      AIR_MATMUL_ROW(int8),
      AIR_MATMUL_ROW(int8_min),
      AIR_MATMUL_ROW(int8_group16),
      AIR_MATMUL_ROW(f16),
      {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, air_matmul_f32}};
#undef AIR_MATMUL_ROW
  return kFunctions[static_cast<int>(format)][static_cast<int>(kernel)];
}

TestWeights::TestWeights(TensorType type, const std::vector<int64_t>& rows, int64_t cols,
                         Arrangement arrangement, uint32_t seed)
    : packed_(rows.size()), source_matrices_(rows.size()) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const OwnedTensor tensor = random_tensor(type, rows[i], cols, seed + static_cast<uint32_t>(i));
    AirMatrix& matrix = source_matrices_[i];
    int64_t bytes = 0;
    air::ConversionError error;
    const bool packed =
        air::plan_matrix(tensor.view, {}, AIR_LAYOUT_QUADS, &matrix, &bytes).ok() &&
        packed_[i].allocate(bytes, "test").ok() &&
        air::pack_tiles(tensor.view, {}, matrix, packed_[i].data(), 0, air::tiles_of(rows[i]), &error).ok();
    CHECK(packed);
    matrix.data = packed_[i].data();
    source_views_.push_back(&matrix);
    std::vector<float> dense(static_cast<size_t>(rows[i] * cols));
    for (int64_t row = 0; row < rows[i]; ++row) unpack_row(matrix, row, dense.data() + row * cols);
    dense_.push_back(std::move(dense));
  }
  const int count = static_cast<int>(rows.size());
  const air::Status planned = plan_device_matrix(source_views_.data(), count, arrangement, &matrix_);
  CHECK_MSG(planned.ok(), planned.message());
  bytes_.resize(static_cast<size_t>(matrix_.bytes), 0xa5);
  pack_device_tiles(matrix_, source_views_.data(), 0, matrix_.tiles, bytes_.data());
}

double TestWeights::weight(int source, int64_t row, int64_t k) const {
  return static_cast<double>(dense_[static_cast<size_t>(source)][static_cast<size_t>(row * cols() + k)]);
}

double TestWeights::magnitude(int source, int64_t row, int64_t k) const {
  const AirMatrix& matrix = source_matrices_[static_cast<size_t>(source)];
  const double weight_size = std::fabs(weight(source, row, k));
  if (!matrix.has_min) return weight_size;
  const auto* tile = reinterpret_cast<const uint16_t*>(matrix.data + row / 16 * matrix.tile_stride);
  const int64_t at = k / 32 * 16 + row % 16;
  const double scale = half_value(tile[at]);
  const double min = half_value(tile[matrix.mins_offset / 2 + at]);
  return weight_size + 16 * std::fabs(scale) + std::fabs(min);
}

TestActivations::TestActivations(int64_t row_count, int64_t col_count, uint64_t seed)
    : rows(row_count), cols(col_count), stride((col_count + 7) / 8 * 8 + 8) {
  constexpr uint16_t kNan = 0x7e00;
  Random random(seed);
  halves.resize(static_cast<size_t>(rows * stride), kNan);
  values.resize(static_cast<size_t>(rows * cols));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < cols; ++k) {
      const float scale = row == 1 ? 0.0f : row == 2 ? 60000.0f : 1.0f;
      const uint16_t half = air::float_to_half(random.uniform() * scale);
      halves[static_cast<size_t>(row * stride + k)] = half;
      values[static_cast<size_t>(row * cols + k)] = half_value(half);
    }
  }
}

namespace {

// The run's launch, of a size that the smallest device takes that can run the kernel at all.
air::cuda::MatmulLaunch shape_run(const air::cuda::DeviceMatrix& matrix, const MatmulRun& run, int32_t rows) {
  const air::cuda::MatmulDevice small = {16, 99 * 1024, 100 * 1024};
  const air::cuda::MatmulDevice orin;
  const auto shape = [&](const air::cuda::MatmulDevice& device) {
    return shape_matmul(run.kernel, matrix.format, matrix.tiles, matrix.cols, rows, device);
  };
  air::cuda::MatmulLaunch launch = shape(small);
  if (launch.stages == 0) launch = shape(orin);
  if (run.stages == 0) return launch;
  const uint32_t fixed = run.kernel == MatmulKernel::kPrefill ? air::cuda::kPrefillSumBytes : 0;
  const uint32_t stage_bytes = (launch.shape.shared_bytes - fixed) / static_cast<uint32_t>(launch.stages);
  const uint32_t bytes = fixed + stage_bytes * static_cast<uint32_t>(run.stages);
  if (bytes > static_cast<uint32_t>(orin.shared_bytes_per_block)) return launch;
  launch.stages = run.stages;
  launch.shape.shared_bytes = bytes;
  return launch;
}

}  // namespace

air::emulator::Result multiply_by(MatmulFunction function, const char* name, const TestWeights& weights,
                                  const TestActivations& x, const MatmulRun& run, std::vector<float>* y) {
  const air::cuda::DeviceMatrix& matrix = weights.matrix();
  const int64_t grid_rows = run.grid_rows > 0 ? run.grid_rows : run.rows;
  const air::cuda::MatmulLaunch launch = shape_run(matrix, run, static_cast<int32_t>(grid_rows));
  const size_t outputs = static_cast<size_t>(grid_rows * (matrix.outputs + kGuardColumns));
  const bool is_hidden = run.store == MatmulStore::kSwiglu;
  const DeviceArray<uint8_t> device_weights("weights", weights.bytes());
  const DeviceArray<uint16_t> device_x("x", x.halves);
  DeviceArray<float> sums("y", std::vector<float>(outputs, kBeforeLaunch), WritableArray<float>{});
  DeviceArray<uint16_t> hidden("hidden", std::vector<uint16_t>(outputs, air::float_to_half(kBeforeLaunch)),
                               WritableArray<uint16_t>{});
  const DeviceArray<float> bias("bias", run.bias.empty() ? std::vector<float>(1) : run.bias);
  const DeviceArray<int32_t> count("row count", std::vector<int32_t>{static_cast<int32_t>(run.rows)});
  MatmulParams p{};
  p.weights = device_weights.data();
  p.x = device_x.data();
  p.y = is_hidden ? static_cast<void*>(hidden.data()) : sums.data();
  p.bias = run.bias.empty() ? nullptr : bias.data();
  p.row_count = run.grid_rows > 0 ? count.data() : nullptr;
  p.tile_stride = matrix.tile_stride;
  p.outputs = matrix.outputs;
  p.cols = matrix.cols;
  p.tiles = matrix.tiles;
  p.max_rows = static_cast<int32_t>(grid_rows);
  p.x_stride = static_cast<int32_t>(x.stride);
  p.y_stride = static_cast<int32_t>(matrix.outputs + kGuardColumns);
  p.store = run.store;
  p.stages = launch.stages;
  const air::emulator::Result result = launch_kernel(name, function, launch.shape, run.order, p);
  if (is_hidden) {
    y->clear();
    for (const uint16_t half : hidden.download()) y->push_back(air::half_to_float(half));
  } else {
    *y = sums.download();
  }
  return result;
}

std::vector<float> multiply(const TestWeights& weights, const TestActivations& x, const MatmulRun& run) {
  const WeightFormat format = weights.matrix().format;
  std::vector<float> y;
  const air::emulator::Result result = multiply_by(
      find_matmul(format, run.kernel), matmul_kernel_name(format, run.kernel), weights, x, run, &y);
  CHECK_MSG(result.ok(), describe(weights, run) + ": " + result.message);
  return y;
}

std::string describe(const TestWeights& weights, const MatmulRun& run) {
  return std::string(matmul_kernel_name(weights.matrix().format, run.kernel)) + " [" +
         std::to_string(weights.matrix().outputs) + ", " + std::to_string(weights.cols()) + "] x " +
         std::to_string(run.rows) + " rows, store " + std::to_string(static_cast<int>(run.store)) +
         ", stages " + std::to_string(run.stages);
}

}  // namespace air_test
