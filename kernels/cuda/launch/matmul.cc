#include "kernels/cuda/launch/matmul.h"

#include <algorithm>

namespace air::cuda {
namespace {

struct DecodeShape {
  int32_t tiles, row_tiles;  // of a warp
};
constexpr DecodeShape kDecodeShapes[] = {{1, 1}, {2, 1}, {4, 1}, {2, 2}, {2, 4}};

// Shared memory that the system takes of a multiprocessor for each block.
constexpr int32_t kReservedBytes = 1024;

// A pipeline of fewer stages waits for memory in every step.
constexpr int32_t kFullStages = 3;

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

int32_t rows_of_decode(MatmulKernel kernel) { return 8 * kDecodeShapes[static_cast<int>(kernel)].row_tiles; }

// Tiles of 16 outputs that one block of a decode kernel computes.
int32_t block_tiles(MatmulKernel kernel, int32_t cols) {
  return kDecodeShapes[static_cast<int>(kernel)].tiles * (kDecodeWarps / slices_of(cols));
}

// Stages of `stage_bytes` beside `fixed_bytes` for a grid of so many blocks: a block that has a multiprocessor for
// itself takes all the room, others leave room for a second. More than `useful` would stay empty. 0: not even
// `least` fit.
int32_t fit_stages(int32_t stage_bytes, int32_t fixed_bytes, int32_t blocks, int32_t least, int32_t useful,
                   const MatmulDevice& device) {
  const auto stages_in = [&](int32_t bytes) { return (bytes - fixed_bytes) / stage_bytes; };
  const int32_t alone = stages_in(
      std::min(device.shared_bytes_per_block, device.shared_bytes_per_multiprocessor - kReservedBytes));
  if (alone < least) return 0;
  const int32_t shared = stages_in(device.shared_bytes_per_multiprocessor / 2 - kReservedBytes);
  const bool is_shared = blocks > device.multiprocessors && shared >= kFullStages;
  return std::clamp(is_shared ? std::min(shared, alone) : alone, least,
                    std::max(least, std::min(useful, kMaxStages)));
}

MatmulLaunch shape_decode(MatmulKernel kernel, WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                          const MatmulDevice& device) {
  const DecodeShape& warp = kDecodeShapes[static_cast<int>(kernel)];
  MatmulLaunch launch;
  launch.kernel = kernel;
  launch.shape.grid_x = static_cast<uint32_t>(ceil_div(tiles, block_tiles(kernel, cols)));
  launch.shape.grid_y = static_cast<uint32_t>(ceil_div(rows, rows_of_decode(kernel)));
  launch.shape.threads = kDecodeThreads;
  const int32_t stage_bytes = kDecodeWarps * decode_stage_bytes(format, warp.tiles, warp.row_tiles);
  const int32_t blocks = static_cast<int32_t>(launch.shape.grid_x * launch.shape.grid_y);
  // One stage is being computed while the others are under way.
  const int32_t useful = std::max(ceil_div(chunks_of(cols), slices_of(cols)) + 1, kFullStages);
  launch.stages = fit_stages(stage_bytes, 0, blocks, kMinStages, useful, device);
  launch.shape.shared_bytes = static_cast<uint32_t>(launch.stages * stage_bytes);
  return launch;
}

MatmulLaunch shape_prefill(WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                           const MatmulDevice& device) {
  // More warps share the rows of x, fewer spread over more multiprocessors.
  for (const int32_t warps : {kPrefillMaxWarps, kPrefillMaxWarps / 2}) {
    MatmulLaunch launch;
    launch.kernel = MatmulKernel::kPrefill;
    launch.shape.grid_x = static_cast<uint32_t>(ceil_div(rows, kPrefillRows));
    launch.shape.grid_y = static_cast<uint32_t>(ceil_div(tiles, kPrefillTiles * warps));
    launch.shape.threads = static_cast<uint32_t>(32 * warps);
    const int32_t blocks = static_cast<int32_t>(launch.shape.grid_x * launch.shape.grid_y);
    const int32_t useful = std::max(chunks_of(cols) + 1, kPrefillMinStages);
    launch.stages = fit_stages(prefill_stage_bytes(format, warps), kPrefillSumBytes, blocks,
                               kPrefillMinStages, std::min(useful, kPrefillMaxStages), device);
    launch.shape.shared_bytes = static_cast<uint32_t>(prefill_shared_bytes(format, warps, launch.stages));
    const bool has_fewer = warps > kPrefillMaxWarps / 2;
    if (launch.stages > 0 && !(has_fewer && blocks < device.multiprocessors)) return launch;
    if (!has_fewer) return launch;
  }
  return {};
}

// The kernel for up to 8 rows: the more tiles a warp has, the less often x is read; but every multiprocessor must
// have a block.
MatmulKernel choose_one_pass(int32_t tiles, int32_t cols, const MatmulDevice& device) {
  const auto blocks = [&](MatmulKernel kernel) { return ceil_div(tiles, block_tiles(kernel, cols)); };
  if (2 * blocks(MatmulKernel::kDecode4x1) >= 3 * device.multiprocessors) return MatmulKernel::kDecode4x1;
  if (4 * blocks(MatmulKernel::kDecode2x1) >= 3 * device.multiprocessors) return MatmulKernel::kDecode2x1;
  return MatmulKernel::kDecode1x1;
}

// Rows from which on prefill reads so much less of x that it wins even with idle multiprocessors.
constexpr int32_t kManyRows = 96;

bool prefers_prefill(int32_t tiles, int32_t rows, const MatmulDevice& device) {
  if (rows <= rows_of_decode(MatmulKernel::kDecode2x4)) return false;
  const int32_t blocks = ceil_div(rows, kPrefillRows) * ceil_div(tiles, kPrefillTiles * kPrefillMaxWarps / 2);
  return rows > kManyRows || 2 * blocks >= device.multiprocessors;
}

}  // namespace

MatmulLaunch shape_matmul(MatmulKernel kernel, WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                          const MatmulDevice& device) {
  if (format == WeightFormat::kF32 || kernel == MatmulKernel::kFloat32) {
    MatmulLaunch launch;
    launch.stages = format == WeightFormat::kF32 && kernel == MatmulKernel::kFloat32 ? 1 : 0;
    launch.shape.grid_x = static_cast<uint32_t>(ceil_div(tiles, kFloatWarps));
    launch.shape.grid_y = static_cast<uint32_t>(ceil_div(rows, kFloatRows));
    launch.shape.threads = 32 * kFloatWarps;
    return launch;
  }
  if (kernel == MatmulKernel::kPrefill) return shape_prefill(format, tiles, cols, rows, device);
  return shape_decode(kernel, format, tiles, cols, rows, device);
}

MatmulLaunch choose_matmul(WeightFormat format, int32_t tiles, int32_t cols, int32_t rows,
                           const MatmulDevice& device) {
  const auto shape = [&](MatmulKernel kernel) {
    return shape_matmul(kernel, format, tiles, cols, rows, device);
  };
  if (format == WeightFormat::kF32) return shape(MatmulKernel::kFloat32);
  if (prefers_prefill(tiles, rows, device)) {
    const MatmulLaunch launch = shape(MatmulKernel::kPrefill);
    if (launch.stages > 0) return launch;
  }
  // From the one that fits the rows down to the smallest, for devices with little shared memory.
  const MatmulKernel candidates[] = {rows > 16 ? MatmulKernel::kDecode2x4 : MatmulKernel::kDecode2x2,
                                     MatmulKernel::kDecode2x2, choose_one_pass(tiles, cols, device),
                                     MatmulKernel::kDecode2x1};
  for (const MatmulKernel kernel : candidates) {
    if (rows <= 8 && rows_of_decode(kernel) > 8) continue;
    const MatmulLaunch launch = shape(kernel);
    if (launch.stages >= kFullStages) return launch;
  }
  return shape(MatmulKernel::kDecode1x1);
}

const char* matmul_kernel_name(WeightFormat format, MatmulKernel kernel) noexcept {
#define AIR_MATMUL_NAMES(name)                                                                             \
  {                                                                                                        \
    "air_matmul_" name "_decode_1x1", "air_matmul_" name "_decode_2x1", "air_matmul_" name "_decode_4x1",  \
        "air_matmul_" name "_decode_2x2", "air_matmul_" name "_decode_2x4", "air_matmul_" name "_prefill", \
        nullptr                                                                                            \
  }
  static const char* const kNames[kWeightFormats][kMatmulKernels] = {
      AIR_MATMUL_NAMES("int4"),
      AIR_MATMUL_NAMES("int4_min"),
      AIR_MATMUL_NAMES("int8"),
      AIR_MATMUL_NAMES("int8_min"),
      AIR_MATMUL_NAMES("int8_group16"),
      AIR_MATMUL_NAMES("f16"),
      {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, "air_matmul_f32"}};
#undef AIR_MATMUL_NAMES
  return kNames[static_cast<int>(format)][static_cast<int>(kernel)];
}

}  // namespace air::cuda
