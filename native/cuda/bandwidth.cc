#include "native/cuda/bandwidth.h"

#include <algorithm>

#include "kernels/cuda/ceilings_params.h"
#include "native/cuda/launcher.h"
#include "native/cuda/memory.h"

namespace air::cuda {

namespace {

constexpr int kPasses = 8;
constexpr int kBlocksPerMultiprocessor = 8;
constexpr uint8_t kFilling = 0x2c;

template <typename T>
T* pointer(const DeviceBuffer& buffer) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(buffer.address()));
}

}  // namespace

Status measure_device_bandwidth(std::shared_ptr<const Kernels> kernels, int64_t bytes,
                                double* gigabytes_per_second) {
  const std::shared_ptr<Context>& context = kernels->shared_context();
  const Context::Scope scope(*context);
  AIR_RETURN_IF_ERROR(scope.status());
  const int64_t blocks = int64_t{context->device().multiprocessors} * kBlocksPerMultiprocessor;
  DeviceBuffer data, sums;
  AIR_RETURN_IF_ERROR(data.allocate(context, bytes, "the bandwidth's buffer"));
  AIR_RETURN_IF_ERROR(sums.allocate(context, blocks * kCeilingThreads * 4, "the bandwidth's sums"));
  Launcher launcher;
  AIR_RETURN_IF_ERROR(launcher.create(*kernels));
  AIR_RETURN_IF_ERROR(launcher.stream().fill(data.address(), kFilling, bytes));
  Event start, end;
  AIR_RETURN_IF_ERROR(start.create(context, true));
  AIR_RETURN_IF_ERROR(end.create(context, true));

  const LaunchShape shape = {static_cast<uint32_t>(blocks), 1, 1, kCeilingThreads, 0};
  const ReadCeilingParams params = {pointer<const uint8_t>(data), bytes, pointer<uint32_t>(sums)};
  float best = 0;                                // milliseconds
  for (int pass = -1; pass < kPasses; ++pass) {  // one to warm up
    AIR_RETURN_IF_ERROR(start.record(launcher.stream()));
    AIR_RETURN_IF_ERROR(launcher.launch("air_ceiling_read", shape, params));
    AIR_RETURN_IF_ERROR(end.record(launcher.stream()));
    AIR_RETURN_IF_ERROR(end.synchronize());
    float milliseconds = 0;
    AIR_RETURN_IF_ERROR(end.milliseconds_since(start, &milliseconds));
    if (pass == 0 || (pass > 0 && milliseconds < best)) best = milliseconds;
  }
  AIR_RETURN_IF_ERROR(launcher.stream().synchronize());
  *gigabytes_per_second = static_cast<double>(bytes) * 1e-6 / static_cast<double>(std::max(best, 1e-6F));
  return {};
}

}  // namespace air::cuda
