// The kernels that measure ceilings do the work that they are timed for.
#include "kernels/cuda/ceilings_params.h"
#include "test/kernels/support/device_array.h"
#include "test/native/check.h"
#include "test/native/kernel_cases.h"

extern "C" {
void air_ceiling_read(air::cuda::ReadCeilingParams p);
void air_ceiling_matrix(air::cuda::MatrixCeilingParams p);
}

namespace {

using namespace air_test;

TEST(every_word_is_read_once) {
  Random random(5);
  for (const size_t words : {size_t{4}, size_t{64 * 4 * 8 + 4 * 70}, size_t{64 * 4 * 3}}) {
    std::vector<uint32_t> data(words);
    uint32_t expected = 0;
    for (uint32_t& word : data) expected ^= word = random.bits();
    const DeviceArray<uint32_t> device("data", data);
    DeviceArray<uint32_t> sums("sums", 64);
    const air::cuda::ReadCeilingParams p = {reinterpret_cast<const uint8_t*>(device.data()),
                                            static_cast<int64_t>(words * 4), sums.data()};
    CHECK_LAUNCH(air_ceiling_read, (air::cuda::LaunchShape{2, 1, 1, 32, 0}), p);
    uint32_t received = 0;
    for (const uint32_t sum : sums.download()) received ^= sum;
    CHECK_EQ(received, expected);
  }
}

TEST(every_step_is_multiplied) {
  DeviceArray<float> sums("sums", 64);
  const air::cuda::MatrixCeilingParams p = {5, sums.data()};
  CHECK_LAUNCH(air_ceiling_matrix, (air::cuda::LaunchShape{2, 1, 1, 32, 0}), p);
  // Four accumulators of each chain, 16 products of 1 a step.
  for (const float sum : sums.download()) CHECK_EQ(sum, 4.0f * air::cuda::kCeilingChains * 16 * 5);
}

}  // namespace
