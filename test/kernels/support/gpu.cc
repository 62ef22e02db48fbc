#include "test/kernels/support/gpu.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "native/cuda/context.h"
#include "native/cuda/module.h"
#include "native/cuda/stream.h"
#include "test/native/check.h"

namespace air_test::gpu {

namespace {

using air::Status;
using air::cuda::DevicePointer;

struct Gpu {
  Status status;  // of the start
  std::shared_ptr<air::cuda::Context> context;
  std::unique_ptr<air::cuda::Context::Scope> scope;
  std::shared_ptr<const air::cuda::Kernels> kernels;
  std::vector<char> probes;  // the probes of single instructions, as nvcc compiled them for these tests
  air::cuda::Stream stream;
};

#ifdef AIR_PROBES_FATBIN
const char* const kProbes = AIR_PROBES_FATBIN;
#else
const char* const kProbes = nullptr;
#endif

// The file of this name in the folder of this program.
std::string beside_program(const std::string& path) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof(program));
  if (length <= 0) return path;
  const std::string folder(program, static_cast<size_t>(length));
  return folder.substr(0, folder.rfind('/')) + path.substr(path.rfind('/'));
}

Status start(Gpu* gpu) {
  std::shared_ptr<const air::cuda::Driver> driver;
  AIR_RETURN_IF_ERROR(air::cuda::Driver::open(&driver));
  AIR_RETURN_IF_ERROR(air::cuda::Context::create(driver, 0, &gpu->context));
  gpu->scope = std::make_unique<air::cuda::Context::Scope>(*gpu->context);
  AIR_RETURN_IF_ERROR(gpu->scope->status());
  std::vector<air::cuda::KernelImage> images = air::cuda::kernel_images();
  if (kProbes != nullptr) {
    std::ifstream file(kProbes, std::ios::binary);
    if (!file)
      file.open(beside_program(kProbes), std::ios::binary);  // the build was carried to another machine
    gpu->probes.assign(std::istreambuf_iterator<char>(file), {});
    images.push_back({"probes", reinterpret_cast<const uint8_t*>(gpu->probes.data()),
                      static_cast<int64_t>(gpu->probes.size()), ""});
  }
  AIR_RETURN_IF_ERROR(air::cuda::Kernels::load(gpu->context, images, &gpu->kernels));
  AIR_RETURN_IF_ERROR(gpu->stream.create(gpu->context));
  std::printf("on %s (sm_%d), kernels from %s\n", gpu->context->device().name.c_str(),
              gpu->context->device().capability, gpu->kernels->report().image.c_str());
  return {};
}

// Lives as long as the process: the order of its parts' ends is the driver's business.
Gpu& gpu() {
  static Gpu* const instance = [] {
    auto* created = new Gpu();
    created->status = start(created);
    return created;
  }();
  return *instance;
}

DevicePointer address_of(const void* pointer) { return reinterpret_cast<DevicePointer>(pointer); }

void check(const Status& status) {
  if (!status.ok()) report_failure(__FILE__, __LINE__, status.message());
}

// What the device still has to do is done first.
template <typename Work>
void run(const Work& work) {
  if (!gpu().status.ok()) return;
  check(work(gpu().stream));
  check(gpu().stream.synchronize());
}

Status queue(const char* kernel, const air::cuda::LaunchShape& shape, void** parameters) {
  air::cuda::FunctionHandle function = nullptr;
  AIR_RETURN_IF_ERROR(gpu().kernels->find(kernel, shape.shared_bytes, &function));
  return AIR_CUDA_TRY(*gpu().context, launch, kernel, function, shape.grid_x, shape.grid_y, shape.grid_z,
                      shape.threads, 1, 1, shape.shared_bytes, gpu().stream.handle(), parameters, nullptr);
}

}  // namespace

bool in_use() {
  static const bool is_asked = [] {
    const char* device = std::getenv("AIR_KERNEL_TESTS_DEVICE");
    return device != nullptr && std::strcmp(device, "cuda") == 0;
  }();
  return is_asked;
}

void* allocate(size_t bytes) {
  if (!gpu().status.ok()) return nullptr;
  DevicePointer address = 0;
  check(AIR_CUDA_TRY(*gpu().context, memory_allocate, "a test", &address, bytes + 1));
  return reinterpret_cast<void*>(address);
}

void release(void* address) {
  if (address != nullptr) check(AIR_CUDA_TRY(*gpu().context, memory_free, "a test", address_of(address)));
}

void fill(void* to, uint8_t value, size_t bytes) {
  if (bytes == 0) return;
  run([&](air::cuda::Stream& stream) {
    return stream.fill(address_of(to), value, static_cast<int64_t>(bytes));
  });
}

void upload(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  run([&](air::cuda::Stream& stream) {
    return stream.to_device(address_of(to), from, static_cast<int64_t>(bytes));
  });
}

void download(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  run([&](air::cuda::Stream& stream) {
    return stream.to_host(to, address_of(from), static_cast<int64_t>(bytes));
  });
}

air::emulator::Result launch(const char* kernel, const air::cuda::LaunchShape& shape, void** parameters) {
  air::emulator::Result result;
  const auto fail = [&](const Status& status) {
    result.fault = air::emulator::Fault::kLaunch;
    result.message = status.message();
  };
  if (!gpu().status.ok()) {
    fail(gpu().status);
    return result;
  }
  Status status = queue(kernel, shape, parameters);
  if (status.ok()) status = gpu().stream.synchronize();
  if (!status.ok()) fail(status);
  return result;
}

bool skips_on_device(const char* reason) {
  if (in_use()) std::printf("  skipped: %s\n", reason);
  return in_use();
}

}  // namespace air_test::gpu
