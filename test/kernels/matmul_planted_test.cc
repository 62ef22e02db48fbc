// The tests of the matmul kernels can fail: kernels with a planted fault, judged as the right ones are.
#include <cmath>

#include "test/kernels/support/gpu.h"
#include "test/kernels/support/matmul_case.h"
#include "test/native/check.h"

extern "C" {
void matmul_with_wrong_fragment(air::cuda::MatmulParams p);
void matmul_without_wait(air::cuda::MatmulParams p);
void matmul_without_warp_barrier(air::cuda::MatmulParams p);
}

namespace {

using namespace air_test;
using air::cuda::MatmulKernel;
using air::emulator::Fault;

constexpr char kReason[] = "kernels with planted faults are compiled for the emulator only";

struct Judgement {
  Fault fault = Fault::kNone;
  double worst = 0;  // error relative to the sum of the magnitudes
};

Judgement judge(MatmulFunction function, const char* name) {
  const TestWeights weights(TensorType::kQ4_0, {40}, 1088);
  const TestActivations x(5, 1088);
  MatmulRun run;
  run.kernel = MatmulKernel::kDecode2x1;
  run.rows = 5;
  run.stages = 4;
  std::vector<float> y;
  Judgement judgement;
  judgement.fault = multiply_by(function, name, weights, x, run, &y).fault;
  if (judgement.fault != Fault::kNone) return judgement;
  for (int64_t row = 0; row < 5; ++row) {
    for (int64_t output = 0; output < 40; ++output) {
      double expected = 0;
      double magnitude = 4;
      for (int64_t k = 0; k < 1088; ++k) {
        const double product = weights.weight(0, output, k) * x.values[static_cast<size_t>(row * 1088 + k)];
        expected += product;
        magnitude += std::fabs(product);
      }
      const double actual = double(y[static_cast<size_t>(row * (40 + kGuardColumns) + output)]);
      judgement.worst = std::fmax(judgement.worst, std::fabs(actual - expected) / magnitude);
    }
  }
  return judgement;
}

TEST(the_right_kernel_is_found_right) {
  const Judgement right = judge(find_matmul(air::cuda::WeightFormat::kInt4, MatmulKernel::kDecode2x1),
                                "air_matmul_int4_decode_2x1");
  CHECK(right.fault == Fault::kNone);
  CHECK(right.worst < 5e-6);
}

TEST(a_wrong_fragment_index_is_a_wrong_result) {
  if (gpu::skips_on_device(kReason)) return;
  const Judgement wrong = judge(matmul_with_wrong_fragment, "matmul_with_wrong_fragment");
  CHECK(wrong.fault == Fault::kNone);
  CHECK(wrong.worst > 1e-2);
}

TEST(a_missing_wait_is_a_copy_in_flight) {
  if (gpu::skips_on_device(kReason)) return;
  CHECK(judge(matmul_without_wait, "matmul_without_wait").fault == Fault::kCopyInFlight);
}

TEST(a_missing_barrier_of_the_warp_is_found) {
  if (gpu::skips_on_device(kReason)) return;
  const Fault fault = judge(matmul_without_warp_barrier, "matmul_without_warp_barrier").fault;
  CHECK(fault == Fault::kRace || fault == Fault::kCopyInFlight || fault == Fault::kUninitialised);
}

}  // namespace
