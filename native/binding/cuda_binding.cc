#include "native/binding/cuda_binding.h"

#include <string>
#include <vector>

#include "native/binding/guard.h"
#include "native/binding/handle_support.h"
#include "native/cuda/images.h"
#include "native/cuda/memory.h"

namespace air::binding {

namespace {

struct Listed {
  int driver_version = 0;
  std::vector<cuda::DeviceInfo> devices;
  std::vector<int64_t> free_bytes;  // of each; 0 where the device cannot be used
};

Status list(Listed* listed) {
  if (cuda::kernel_images().empty()) {
    return {StatusCode::kNoDevice, "expected a build with CUDA kernels but this one was made without nvcc"};
  }
  std::shared_ptr<const cuda::Driver> driver;
  AIR_RETURN_IF_ERROR(cuda::Driver::open(&driver));
  listed->driver_version = driver->version();
  AIR_RETURN_IF_ERROR(cuda::list_devices(*driver, &listed->devices));
  for (const cuda::DeviceInfo& device : listed->devices) {
    std::shared_ptr<cuda::Context> context;
    int64_t bytes = 0;
    Status status = cuda::Context::create(driver, device.ordinal, &context);
    if (status.ok()) status = cuda::available_memory(*context, &bytes);
    listed->free_bytes.push_back(status.ok() ? bytes : 0);
  }
  return {};
}

Napi::Object describe_device(Napi::Env env, const cuda::DeviceInfo& device) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", number(env, device.ordinal));
  object.Set("name", device.name);
  object.Set("computeCapability",
             std::to_string(device.capability / 10) + "." + std::to_string(device.capability % 10));
  object.Set("multiprocessors", number(env, device.multiprocessors));
  object.Set("totalBytes", number(env, device.total_bytes));
  object.Set("isIntegrated", Napi::Boolean::New(env, device.is_integrated));
  return object;
}

}  // namespace

Napi::Object describe_loaded(Napi::Env env, const cuda::Kernels& kernels) {
  Napi::Object object = describe_device(env, kernels.context().device());
  const cuda::ModuleReport& report = kernels.report();
  object.Set("image", report.image);
  object.Set("imageMicros", number(env, report.load_micros));
  if (!report.sass_refused.empty()) object.Set("sassRefused", report.sass_refused);
  return object;
}

Napi::Value probe_cuda_device(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto ordinal = static_cast<int>(to_integer(info[0], "device", 0, kMaxDevice));
  std::shared_ptr<const cuda::Kernels> kernels;
  throw_if_error(env, guarded("kernels", [&] { return open_cuda_device(ordinal, &kernels); }));
  return describe_loaded(env, *kernels);
}

Napi::Value list_cuda_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Listed listed;
  const Status status = guarded("the list of devices", [&] { return list(&listed); });
  Napi::Array devices = Napi::Array::New(env);
  for (size_t i = 0; i < listed.free_bytes.size(); ++i) {
    Napi::Object device = describe_device(env, listed.devices[i]);
    device.Set("freeBytes", number(env, listed.free_bytes[i]));
    devices.Set(devices.Length(), device);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("devices", devices);
  if (!status.ok()) result.Set("reason", status.message());
  if (listed.driver_version > 0) {
    result.Set("driverVersion", std::to_string(listed.driver_version / 1000) + "." +
                                    std::to_string(listed.driver_version % 1000 / 10));
  }
  return result;
}

Status open_cuda_device(int ordinal, std::shared_ptr<const cuda::Kernels>* kernels) {
  const std::vector<cuda::KernelImage> images = cuda::kernel_images();
  if (images.empty()) {
    return {StatusCode::kNoDevice, "expected a build with CUDA kernels but this one was made without nvcc"};
  }
  std::shared_ptr<const cuda::Driver> driver;
  AIR_RETURN_IF_ERROR(cuda::Driver::open(&driver));
  std::shared_ptr<cuda::Context> context;
  AIR_RETURN_IF_ERROR(cuda::Context::create(driver, ordinal, &context));
  return cuda::Kernels::load(context, images, kernels);
}

}  // namespace air::binding
