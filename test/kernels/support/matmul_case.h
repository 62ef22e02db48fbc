// What the tests of the matmul kernels share: random weights in the device's format with their exact values, launches
// by name, and the result in double precision.
#ifndef AIR_TEST_KERNELS_SUPPORT_MATMUL_CASE_H_
#define AIR_TEST_KERNELS_SUPPORT_MATMUL_CASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/launch/matmul.h"
#include "native/core/aligned_buffer.h"
#include "native/cuda/weights/device_matrix.h"
#include "test/kernels/emulator/emulator.h"
#include "test/native/support/random_tensor.h"

namespace air_test {

// A type of each device format, in the order of WeightFormat.
constexpr TensorType kTypeOfFormat[] = {TensorType::kQ4_0, TensorType::kQ4K, TensorType::kQ8_0,
                                        TensorType::kQ5_1, TensorType::kQ6K, TensorType::kF16,
                                        TensorType::kF32};

// Tensors of one type, packed for the CPU and from there for the device.
class TestWeights {
 public:
  // rows: of each source. cols: a multiple of the type's block.
  TestWeights(TensorType type, const std::vector<int64_t>& rows, int64_t cols,
              air::cuda::Arrangement arrangement = air::cuda::Arrangement::kStacked, uint32_t seed = 7);

  const air::cuda::DeviceMatrix& matrix() const { return matrix_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }  // of the device
  const std::vector<const AirMatrix*>& sources() const { return source_views_; }
  int64_t cols() const { return matrix_.cols; }
  // Exact, as the CPU's format holds it.
  double weight(int source, int64_t row, int64_t k) const;
  // Bound of what is added up for that weight per x: with mins, its parts may be larger than the weight.
  double magnitude(int source, int64_t row, int64_t k) const;

 private:
  std::vector<air::AlignedBuffer> packed_;
  std::vector<AirMatrix> source_matrices_;
  std::vector<const AirMatrix*> source_views_;
  std::vector<std::vector<float>> dense_;  // of each source [rows, cols]
  air::cuda::DeviceMatrix matrix_;
  std::vector<uint8_t> bytes_;
};

// Random rows of float16 between -1 and 1, among them one of zeros and one of large values, and what they are worth.
struct TestActivations {
  std::vector<uint16_t> halves;  // [rows, stride]; beyond cols NaN, which nobody may read
  std::vector<double> values;    // [rows, cols]
  int64_t rows, cols, stride;
  TestActivations(int64_t row_count, int64_t col_count, uint64_t seed = 3);
};

// One launch.
struct MatmulRun {
  air::cuda::MatmulKernel kernel = air::cuda::MatmulKernel::kDecode1x1;
  air::cuda::MatmulStore store = air::cuda::MatmulStore::kSet;
  int64_t rows = 1;         // of the activations
  int64_t grid_rows = 0;    // that the grid is sized for; 0: rows
  int32_t stages = 0;       // 0, or more than Orin has room for: as many as a small device has room for
  std::vector<float> bias;  // arranged, or empty
  air::emulator::Order order = air::emulator::Order::kForward;
};

// What y holds before a launch, and beyond the columns and rows that it writes.
constexpr float kBeforeLaunch = 0.75f;
constexpr int64_t kGuardColumns = 2;

// y [run.grid_rows or run.rows, outputs + kGuardColumns]: of kSwiglu the hidden halves as float. A fault of the
// launch fails the test.
std::vector<float> multiply(const TestWeights& weights, const TestActivations& x, const MatmulRun& run);
// The same of a kernel that is not in the table.
using MatmulFunction = void (*)(air::cuda::MatmulParams);
air::emulator::Result multiply_by(MatmulFunction function, const char* name, const TestWeights& weights,
                                  const TestActivations& x, const MatmulRun& run, std::vector<float>* y);

// The emulated kernel of that name; null if there is none.
MatmulFunction find_matmul(air::cuda::WeightFormat format, air::cuda::MatmulKernel kernel);

std::string describe(const TestWeights& weights, const MatmulRun& run);

}  // namespace air_test

#endif  // AIR_TEST_KERNELS_SUPPORT_MATMUL_CASE_H_
