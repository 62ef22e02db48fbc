#include "native/cuda/context.h"

#include <utility>

namespace air::cuda {

namespace {

constexpr int kOldestCapability = 80;  // mma.sync m16n8k16 and cp.async

Status read_device(const Driver& driver, int ordinal, DeviceInfo* info) {
  const std::string purpose = "CUDA device " + std::to_string(ordinal);
  Device device = 0;
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(driver, device_get, purpose, &device, ordinal));
  char name[256] = {};
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(driver, device_name, purpose, name, int{sizeof(name)} - 1, device));
  size_t total = 0;
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(driver, device_total_memory, purpose, &total, device));
  const auto attribute = [&](DeviceAttribute which, int* value) {
    return AIR_CUDA_CALL(driver, device_attribute, purpose, value, which, device);
  };
  int major = 0;
  int minor = 0;
  int integrated = 0;
  AIR_RETURN_IF_ERROR(attribute(DeviceAttribute::kComputeCapabilityMajor, &major));
  AIR_RETURN_IF_ERROR(attribute(DeviceAttribute::kComputeCapabilityMinor, &minor));
  AIR_RETURN_IF_ERROR(attribute(DeviceAttribute::kMultiprocessorCount, &info->multiprocessors));
  AIR_RETURN_IF_ERROR(attribute(DeviceAttribute::kMaxSharedMemoryPerBlockOptin, &info->shared_bytes));
  AIR_RETURN_IF_ERROR(
      attribute(DeviceAttribute::kMaxSharedMemoryPerMultiprocessor, &info->shared_bytes_per_multiprocessor));
  AIR_RETURN_IF_ERROR(attribute(DeviceAttribute::kIntegrated, &integrated));
  info->ordinal = ordinal;
  info->handle = device;
  info->name = name;
  info->capability = 10 * major + minor;
  info->total_bytes = static_cast<int64_t>(total);
  info->is_integrated = integrated != 0;
  return {};
}

}  // namespace

Status list_devices(const Driver& driver, std::vector<DeviceInfo>* devices) {
  int count = 0;
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(driver, device_count, "the list of devices", &count));
  devices->assign(static_cast<size_t>(count), {});
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    AIR_RETURN_IF_ERROR(read_device(driver, ordinal, &(*devices)[static_cast<size_t>(ordinal)]));
  }
  return {};
}

Status Context::create(std::shared_ptr<const Driver> driver, int ordinal, std::shared_ptr<Context>* context) {
  int count = 0;
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(*driver, device_count, "the list of devices", &count));
  if (ordinal < 0 || ordinal >= count) {
    return {StatusCode::kNoDevice, "expected a CUDA device below " + std::to_string(count) +
                                       " for the device but received " + std::to_string(ordinal)};
  }
  auto created = std::shared_ptr<Context>(new Context(std::move(driver)));
  AIR_RETURN_IF_ERROR(read_device(created->driver(), ordinal, &created->device_));
  const DeviceInfo& device = created->device_;
  if (device.capability < kOldestCapability) {
    return {StatusCode::kUnsupported, "expected compute capability 8.0 or newer for " + device.name +
                                          " but received " + std::to_string(device.capability / 10) + "." +
                                          std::to_string(device.capability % 10)};
  }
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(created->driver(), context_retain, device.name, &created->handle_,
                                    created->device_.handle));
  *context = std::move(created);
  return {};
}

Context::~Context() {
  if (handle_ != nullptr) (void)driver().context_release(device_.handle);
}

Status Context::check(Result result, const char* call, const std::string& purpose) {
  if (cuda::is_lost(result)) lost_.store(true, std::memory_order_relaxed);
  return driver_->check(result, call, purpose);
}

Status Context::usable() const {
  if (!is_lost()) return {};
  return {StatusCode::kDevice,
          "expected " + device_.name +
              " to work but an earlier failure has ended its context; load the model again"};
}

Context::Scope::Scope(const Context& context)
    : context_(context), result_(context.driver().context_push(context.handle_)) {}

Context::Scope::~Scope() {
  ContextHandle popped = nullptr;
  if (result_ == kSuccess) (void)context_.driver().context_pop(&popped);
}

Status Context::Scope::status() const {
  return context_.driver().check(result_, "context_push", context_.device().name);
}

}  // namespace air::cuda
