// The exported functions for devices, contexts and memory.
#include <algorithm>
#include <cstring>

#include "native/cuda/driver_types.h"
#include "test/native/fake_cuda/fake_cuda.h"
#include "test/native/fake_cuda/machine.h"

using namespace air::cuda;
using fake::Machine;

namespace {

struct Locked {
  Machine& machine = Machine::get();
  std::lock_guard<std::mutex> lock{machine.mutex};
  Machine* operator->() { return &machine; }
};

struct ErrorText {
  Result result;
  const char* name;
  const char* text;
};
constexpr ErrorText kErrors[] = {
    {kErrorInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kErrorOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kErrorNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kErrorInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kErrorInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {kErrorInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kErrorNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for the device"},
    {kErrorUnsupportedPtxVersion, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "unsupported PTX version"},
    {kErrorIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kErrorLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {kErrorLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
};

const ErrorText* find_error(Result result) {
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorText& error) { return error.result == result; });
  return found == std::end(kErrors) ? nullptr : found;
}

bool is_device(Machine& machine, Device device) {
  return device >= 0 && device < machine.setting("devices", 1);
}

}  // namespace

#define ENTER(function) \
  Locked machine;       \
  if (const Result entered = machine->enter(function); entered != kSuccess) return entered
#define ENTER_CONTEXT(function) \
  Locked machine;               \
  if (const Result entered = machine->enter_context(function); entered != kSuccess) return entered

AIR_FAKE_EXPORT Result cuInit(unsigned) {
  ENTER("cuInit");
  return machine->setting("devices", 1) > 0 ? kSuccess : kErrorNoDevice;
}

AIR_FAKE_EXPORT Result cuDriverGetVersion(int* version) {
  ENTER("cuDriverGetVersion");
  *version = static_cast<int>(machine->setting("version", 11040));
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuGetErrorName(Result error, const char** name) {
  const ErrorText* found = find_error(error);
  if (found == nullptr) return kErrorInvalidValue;
  *name = found->name;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuGetErrorString(Result error, const char** text) {
  const ErrorText* found = find_error(error);
  if (found == nullptr) return kErrorInvalidValue;
  *text = found->text;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDeviceGetCount(int* count) {
  ENTER("cuDeviceGetCount");
  *count = static_cast<int>(machine->setting("devices", 1));
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDeviceGet(Device* device, int ordinal) {
  ENTER("cuDeviceGet");
  if (!is_device(machine.machine, ordinal)) return kErrorInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDeviceGetName(char* name, int length, Device) {
  ENTER("cuDeviceGetName");
  std::strncpy(name, "Fake GPU", static_cast<size_t>(length));
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDeviceTotalMem_v2(size_t* bytes, Device) {
  ENTER("cuDeviceTotalMem_v2");
  *bytes = static_cast<size_t>(machine->setting("memory", int64_t{8} << 30));
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDeviceGetAttribute(int* value, DeviceAttribute attribute, Device) {
  ENTER("cuDeviceGetAttribute");
  const auto capability = static_cast<int>(machine->setting("capability", 87));
  switch (attribute) {
    case DeviceAttribute::kMultiprocessorCount:
      *value = static_cast<int>(machine->setting("multiprocessors", 2));
      return kSuccess;
    case DeviceAttribute::kIntegrated:
      *value = static_cast<int>(machine->setting("integrated", 0));
      return kSuccess;
    case DeviceAttribute::kComputeCapabilityMajor:
      *value = capability / 10;
      return kSuccess;
    case DeviceAttribute::kComputeCapabilityMinor:
      *value = capability % 10;
      return kSuccess;
    case DeviceAttribute::kMaxSharedMemoryPerMultiprocessor:
      *value = 164 * 1024;
      return kSuccess;
    case DeviceAttribute::kMaxSharedMemoryPerBlockOptin:
      *value = 163 * 1024;
      return kSuccess;
  }
  return kErrorInvalidValue;
}

AIR_FAKE_EXPORT Result cuDevicePrimaryCtxRetain(ContextHandle* context, Device device) {
  ENTER("cuDevicePrimaryCtxRetain");
  if (!is_device(machine.machine, device)) return kErrorInvalidDevice;
  machine->retain(device, context);
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuDevicePrimaryCtxRelease_v2(Device device) {
  ENTER("cuDevicePrimaryCtxRelease_v2");
  return machine->release(device);
}

AIR_FAKE_EXPORT Result cuCtxPushCurrent_v2(ContextHandle context) {
  ENTER("cuCtxPushCurrent_v2");
  return machine->push(context);
}

AIR_FAKE_EXPORT Result cuCtxPopCurrent_v2(ContextHandle* context) {
  ENTER("cuCtxPopCurrent_v2");
  return machine->pop(context);
}

AIR_FAKE_EXPORT Result cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  ENTER_CONTEXT("cuMemGetInfo_v2");
  *total_bytes = static_cast<size_t>(machine->setting("memory", int64_t{8} << 30));
  *free_bytes = *total_bytes - std::min(*total_bytes, machine->device_bytes());
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuMemAlloc_v2(DevicePointer* pointer, size_t bytes) {
  ENTER_CONTEXT("cuMemAlloc_v2");
  void* memory = nullptr;
  const Result result = machine->allocate(true, bytes, &memory);
  if (result == kSuccess) *pointer = reinterpret_cast<uintptr_t>(memory);
  return result;
}

AIR_FAKE_EXPORT Result cuMemFree_v2(DevicePointer pointer) {
  ENTER_CONTEXT("cuMemFree_v2");
  return machine->free(true, reinterpret_cast<void*>(pointer));
}

AIR_FAKE_EXPORT Result cuMemAllocHost_v2(void** pointer, size_t bytes) {
  ENTER_CONTEXT("cuMemAllocHost_v2");
  return machine->allocate(false, bytes, pointer);
}

AIR_FAKE_EXPORT Result cuMemFreeHost(void* pointer) {
  ENTER_CONTEXT("cuMemFreeHost");
  return machine->free(false, pointer);
}

AIR_FAKE_EXPORT void air_fake_cuda_reset() { Locked()->reset(); }
AIR_FAKE_EXPORT void air_fake_cuda_set(const char* name, int64_t value) { Locked()->set(name, value); }
AIR_FAKE_EXPORT void air_fake_cuda_fail(const char* function, int nth, int result) {
  Locked()->fail(function, nth, result);
}
AIR_FAKE_EXPORT int64_t air_fake_cuda_calls(const char* function) { return Locked()->calls(function); }
AIR_FAKE_EXPORT int64_t air_fake_cuda_live(const char* kind) { return Locked()->live(kind); }
AIR_FAKE_EXPORT const char* air_fake_cuda_problem() { return Locked()->problem.c_str(); }
