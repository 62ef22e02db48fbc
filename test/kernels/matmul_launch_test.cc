// Which kernel and shape a product gets: it fits the device, covers the product, and is the one that was meant.
#include <string>

#include "test/kernels/support/matmul_case.h"
#include "test/native/check.h"

namespace {

using namespace air_test;
using air::cuda::MatmulDevice;
using air::cuda::MatmulKernel;
using air::cuda::MatmulLaunch;
using air::cuda::WeightFormat;

struct NamedDevice {
  const char* name;
  MatmulDevice device;
};
// Shared memory per block and multiprocessor: table of the CUDA programming guide, by compute capability.
constexpr NamedDevice kDevices[] = {
    {"Orin Nano sm_87", {8, 163 * 1024, 164 * 1024}}, {"AGX Orin sm_87", {16, 163 * 1024, 164 * 1024}},
    {"RTX 3060 sm_86", {28, 99 * 1024, 100 * 1024}},  {"RTX 4090 sm_89", {128, 99 * 1024, 100 * 1024}},
    {"A100 sm_80", {108, 163 * 1024, 164 * 1024}},    {"H100 sm_90", {132, 227 * 1024, 228 * 1024}}};

constexpr int32_t kTilesPerWarp[] = {1, 2, 4, 2, 2};
constexpr int32_t kRowsPerWarp[] = {8, 8, 8, 16, 32};

// Tiles and rows that the grid reaches.
bool covers(const MatmulLaunch& launch, int32_t tiles, int32_t cols, int32_t rows) {
  const auto reach = [](uint32_t blocks, int32_t each) { return int64_t{blocks} * each; };
  const int kernel = static_cast<int>(launch.kernel);
  const int32_t warps = static_cast<int32_t>(launch.shape.threads) / 32;
  if (launch.kernel == MatmulKernel::kFloat32) {
    return reach(launch.shape.grid_x, warps) >= tiles && reach(launch.shape.grid_y, 8) >= rows;
  }
  if (launch.kernel == MatmulKernel::kPrefill) {
    return reach(launch.shape.grid_x, 64) >= rows && reach(launch.shape.grid_y, 2 * warps) >= tiles;
  }
  const int32_t block_tiles = kTilesPerWarp[kernel] * (warps / air::cuda::slices_of(cols));
  return reach(launch.shape.grid_x, block_tiles) >= tiles &&
         reach(launch.shape.grid_y, kRowsPerWarp[kernel]) >= rows;
}

TEST(every_product_has_a_launch_that_fits_and_covers_it) {
  for (const NamedDevice& device : kDevices) {
    for (int format = 0; format < air::cuda::kWeightFormats; ++format) {
      for (const int32_t cols : {32, 64, 576, 1024, 4096, 14336, AIR_MAX_COLS}) {
        for (const int32_t tiles : {1, 3, 64, 256, 896, 9496}) {
          for (const int32_t rows : {1, 8, 9, 16, 17, 32, 33, 64, 65, 128, 512, 4096}) {
            const auto weights = static_cast<WeightFormat>(format);
            const MatmulLaunch launch = choose_matmul(weights, tiles, cols, rows, device.device);
            const std::string what = std::string(device.name) + " format " + std::to_string(format) +
                                     " cols " + std::to_string(cols) + " tiles " + std::to_string(tiles) +
                                     " rows " + std::to_string(rows);
            CHECK_MSG(launch.stages >= 1 && launch.stages <= air::cuda::kMaxStages, what + ": stages");
            CHECK_MSG(
                launch.shape.shared_bytes <= static_cast<uint32_t>(device.device.shared_bytes_per_block),
                what + ": shared memory");
            CHECK_MSG(launch.shape.grid_y <= 65535, what + ": grid");
            CHECK_MSG(covers(launch, tiles, cols, rows), what + ": does not cover");
            CHECK_MSG(matmul_kernel_name(weights, launch.kernel) != nullptr, what + ": no such kernel");
            CHECK_MSG(find_matmul(weights, launch.kernel) != nullptr, what + ": no such function");
          }
        }
      }
    }
  }
}

TEST(up_to_eight_rows_take_one_pass_over_the_weights) {
  for (const NamedDevice& device : kDevices) {
    for (int format = 0; format < air::cuda::kWeightFormats; ++format) {
      for (const int32_t tiles : {4, 64, 256, 896, 9496}) {
        const auto weights = static_cast<WeightFormat>(format);
        const MatmulLaunch one = choose_matmul(weights, tiles, 4096, 1, device.device);
        const MatmulLaunch eight = choose_matmul(weights, tiles, 4096, 8, device.device);
        CHECK_EQ(eight.shape.grid_y, 1u);
        CHECK_EQ(static_cast<int>(one.kernel), static_cast<int>(eight.kernel));
        CHECK_EQ(one.shape.grid_x, eight.shape.grid_x);
      }
    }
  }
}

TEST(small_matrices_spread_over_the_device_and_large_ones_share_activations) {
  const MatmulDevice orin = kDevices[1].device;
  const MatmulDevice h100 = kDevices[5].device;
  const auto kernel = [](int32_t rows_of_w, int32_t cols, int32_t rows, const MatmulDevice& device) {
    return choose_matmul(WeightFormat::kInt4, rows_of_w / 16, cols, rows, device).kernel;
  };
  CHECK(kernel(4096, 4096, 8, orin) == MatmulKernel::kDecode4x1);
  CHECK(kernel(1024, 1024, 8, h100) == MatmulKernel::kDecode1x1);
  CHECK(kernel(4096, 4096, 8, h100) == MatmulKernel::kDecode2x1);
  CHECK(kernel(28672, 4096, 8, h100) == MatmulKernel::kDecode4x1);
  CHECK(kernel(4096, 4096, 16, orin) == MatmulKernel::kDecode2x2);
  CHECK(kernel(4096, 4096, 32, orin) == MatmulKernel::kDecode2x4);
  CHECK(kernel(4096, 4096, 64, orin) == MatmulKernel::kPrefill);
  CHECK(kernel(4096, 4096, 64, h100) == MatmulKernel::kDecode2x4);
  CHECK(kernel(4096, 4096, 512, h100) == MatmulKernel::kPrefill);
}

// Little's law: read bandwidth times latency must be under way. Orin 205 GB/s x 0.8 us, H100 3.35 TB/s x 0.7 us.
TEST(enough_bytes_of_weights_are_under_way) {
  const auto bytes_under_way = [](int32_t rows_of_w, int32_t cols, const MatmulDevice& device) {
    const MatmulLaunch launch = choose_matmul(WeightFormat::kInt4, rows_of_w / 16, cols, 1, device);
    const int64_t per_stage = int64_t{air::cuda::chunk_bytes(WeightFormat::kInt4)} *
                              kTilesPerWarp[static_cast<int>(launch.kernel)] * 8;
    const int64_t room = device.shared_bytes_per_multiprocessor / (launch.shape.shared_bytes + 1024);
    const int64_t blocks =
        std::min<int64_t>(room, (launch.shape.grid_x + device.multiprocessors - 1) / device.multiprocessors);
    return blocks * (launch.stages - 1) * per_stage * device.multiprocessors;
  };
  CHECK(bytes_under_way(4096, 4096, kDevices[1].device) >= 164000);
  CHECK(bytes_under_way(4096, 4096, kDevices[5].device) >= 2345000);
  CHECK(bytes_under_way(28672, 4096, kDevices[5].device) >= 2345000);
}

TEST(kernels_that_do_not_fit_are_refused) {
  const MatmulDevice tiny = {4, 48 * 1024, 64 * 1024};
  CHECK_EQ(shape_matmul(MatmulKernel::kDecode4x1, WeightFormat::kF16, 16, 4096, 8, tiny).stages, 0);
  CHECK_EQ(shape_matmul(MatmulKernel::kDecode1x1, WeightFormat::kF32, 16, 4096, 8, tiny).stages, 0);
  CHECK_EQ(shape_matmul(MatmulKernel::kFloat32, WeightFormat::kInt4, 16, 4096, 8, tiny).stages, 0);
}

}  // namespace
