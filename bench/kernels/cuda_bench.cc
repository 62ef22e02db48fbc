#include "bench/kernels/cuda_bench.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/cuda/ceilings_params.h"
#include "native/cuda/driver.h"
#include "native/cuda/graph.h"
#include "native/cuda/images.h"
#include "native/cuda/stream.h"

namespace air_bench {

namespace {

using air::cuda::DeviceBuffer;
using air::cuda::kCeilingThreads;
using air::cuda::LaunchShape;

constexpr int kRepeats = 15;
constexpr int64_t kReadBytes = int64_t{1} << 30;
constexpr int32_t kMatrixSteps = 4096;
// Blocks of the ceilings per multiprocessor: all that fit.
constexpr int kBlocksEach = 8;

template <typename T>
T* pointer(air::cuda::DevicePointer address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

}  // namespace

void require(const air::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", air::status_code_name(status.code()), status.message().c_str());
  std::exit(1);
}

CudaBench::CudaBench(bool is_trial) : is_trial_(is_trial) {
  std::shared_ptr<const air::cuda::Driver> driver;
  require(air::cuda::Driver::open(&driver));
  require(air::cuda::Context::create(driver, 0, &context_));
  scope_ = std::make_unique<air::cuda::Context::Scope>(*context_);
  require(scope_->status());
  require(air::cuda::Kernels::load(context_, air::cuda::kernel_images(), &kernels_));
  require(launcher_.create(*kernels_));
}

void CudaBench::upload(air::cuda::DevicePointer to, const void* from, int64_t bytes) {
  require(launcher_.stream().to_device(to, from, bytes));
  require(launcher_.stream().synchronize());
}

void CudaBench::download(void* to, air::cuda::DevicePointer from, int64_t bytes) {
  require(launcher_.stream().to_host(to, from, bytes));
  require(launcher_.stream().synchronize());
}

double CudaBench::time(const std::function<air::Status()>& enqueue) {
  require(
      enqueue());  // kernels may be loaded when they are first asked for, which must not be while a stream records
  require(launcher_.stream().synchronize());
  air::cuda::Graph graph;
  require(graph.record(context_, launcher_.stream(), enqueue));
  air::cuda::Event start, end;
  require(start.create(context_, true));
  require(end.create(context_, true));
  std::vector<double> seconds;
  const int repeats = is_trial_ ? 1 : kRepeats;
  for (int repeat = -2; repeat < repeats; ++repeat) {  // two to warm up
    require(start.record(launcher_.stream()));
    require(graph.launch(launcher_.stream()));
    require(end.record(launcher_.stream()));
    require(end.synchronize());
    float milliseconds = 0;
    require(end.milliseconds_since(start, &milliseconds));
    if (repeat >= 0) seconds.push_back(static_cast<double>(milliseconds) * 1e-3);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

CudaCeilings CudaBench::measure_ceilings() {
  const int64_t bytes = is_trial_ ? 1 << 16 : kReadBytes;
  const int32_t steps = is_trial_ ? 2 : kMatrixSteps;
  const auto blocks = static_cast<uint32_t>(is_trial_ ? 2 : device().multiprocessors * kBlocksEach);
  const auto threads = static_cast<uint32_t>(kCeilingThreads);
  DeviceBuffer from, to, sums;
  require(from.allocate(context_, bytes, "bench"));
  require(to.allocate(context_, bytes, "bench"));
  require(sums.allocate(context_, int64_t{blocks} * kCeilingThreads * 4, "bench"));
  require(launcher_.stream().fill(from.address(), 0x2c, bytes));
  const LaunchShape shape = {blocks, 1, 1, threads, 0};

  CudaCeilings ceilings;
  const air::cuda::ReadCeilingParams read = {pointer<const uint8_t>(from.address()), bytes,
                                             pointer<uint32_t>(sums.address())};
  ceilings.read_gbps = static_cast<double>(bytes) * 1e-9 /
                       time([&] { return launcher_.launch("air_ceiling_read", shape, read); });
  ceilings.copy_gbps = 2e-9 * static_cast<double>(bytes) / time([&] {
                         return launcher_.stream().on_device(to.address(), from.address(), bytes);
                       });
  const air::cuda::MatrixCeilingParams matrix = {steps, pointer<float>(sums.address())};
  const double operations =
      2.0 * 16 * 8 * 16 * air::cuda::kCeilingChains * steps * blocks * (kCeilingThreads / 32);
  ceilings.matrix_tflops =
      operations * 1e-12 / time([&] { return launcher_.launch("air_ceiling_matrix", shape, matrix); });
  return ceilings;
}

}  // namespace air_bench
