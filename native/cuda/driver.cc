#include "native/cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>

namespace air::cuda {

namespace {

constexpr int kOldestVersion = 11040;  // CUDA 11.4: JetPack 5

Status no_driver(const std::string& library, const std::string& reason) {
  return {StatusCode::kNoDevice,
          "expected a CUDA driver for the device but " + library + " is of no use: " + reason};
}

StatusCode code_of(Result result) noexcept {
  switch (result) {
    case kErrorOutOfMemory:
      return StatusCode::kOutOfMemory;
    case kErrorStubLibrary:
    case kErrorDeviceUnavailable:
    case kErrorNoDevice:
    case kErrorInvalidDevice:
    case kErrorDeviceNotLicensed:
    case kErrorSystemDriverMismatch:
    case kErrorCompatNotSupportedOnDevice:
      return StatusCode::kNoDevice;
    case kErrorInvalidImage:
    case kErrorNoBinaryForGpu:
    case kErrorInvalidPtx:
    case kErrorJitCompilerNotFound:
    case kErrorUnsupportedPtxVersion:
    case kErrorJitCompilationDisabled:
    case kErrorInvalidSource:
      return StatusCode::kUnsupported;
    default:
      return StatusCode::kDevice;
  }
}

// The exported names, for messages.
const char* exported_name(const std::string& member) {
#define AIR_CUDA_NAME(field, name, parameters) \
  if (member == #field) return #name;
  AIR_CUDA_FUNCTIONS(AIR_CUDA_NAME)
#undef AIR_CUDA_NAME
  return "the CUDA driver";
}

}  // namespace

bool is_lost(Result result) noexcept {
  switch (result) {
    case kErrorDeinitialized:
    case kErrorDeviceUnavailable:
    case kErrorEccUncorrectable:
    case kErrorIllegalAddress:
    case kErrorLaunchTimeout:
    case kErrorContextIsDestroyed:
    case kErrorAssert:
    case kErrorHardwareStack:
    case kErrorIllegalInstruction:
    case kErrorMisalignedAddress:
    case kErrorInvalidAddressSpace:
    case kErrorInvalidProgramCounter:
    case kErrorLaunchFailed:
      return true;
    default:
      return false;
  }
}

Status Driver::open(std::shared_ptr<const Driver>* driver) {
  const char* library = std::getenv("AIR_CUDA_LIBRARY");
  return open(library == nullptr || *library == '\0' ? "libcuda.so.1" : library, driver);
}

Status Driver::open(const std::string& library, std::shared_ptr<const Driver>* driver) {
  auto opened = std::shared_ptr<Driver>(new Driver());
  opened->library_ = library;
  opened->handle_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened->handle_ == nullptr) {
    const char* reason = dlerror();
    return no_driver(library, reason == nullptr ? "it cannot be opened" : reason);
  }
  AIR_RETURN_IF_ERROR(opened->resolve());
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(*opened, init, "the driver", 0));
  AIR_RETURN_IF_ERROR(AIR_CUDA_CALL(*opened, driver_version, "the driver", &opened->version_));
  if (opened->version_ < kOldestVersion) {
    return no_driver(library, "it speaks CUDA " + std::to_string(opened->version_ / 1000) + "." +
                                  std::to_string(opened->version_ % 1000 / 10) + ", older than 11.4");
  }
  *driver = std::move(opened);
  return {};
}

Driver::~Driver() {
  if (handle_ != nullptr) dlclose(handle_);
}

Status Driver::resolve() {
#define AIR_CUDA_RESOLVE(member, name, parameters)                        \
  member = reinterpret_cast<Result(*) parameters>(dlsym(handle_, #name)); \
  if (member == nullptr) return no_driver(library_, "it has no " #name);
  AIR_CUDA_FUNCTIONS(AIR_CUDA_RESOLVE)
#undef AIR_CUDA_RESOLVE
  return {};
}

Status Driver::check(Result result, const char* call, const std::string& purpose) const {
  if (result == kSuccess) return {};
  const char* name = nullptr;
  const char* text = nullptr;
  if (error_name(result, &name) != kSuccess || name == nullptr) name = "an unknown error";
  if (error_string(result, &text) != kSuccess || text == nullptr) text = "no description";
  return {code_of(result), std::string("expected ") + exported_name(call) + " to succeed for " + purpose +
                               " but received " + name + " (" + std::to_string(result) + "): " + text};
}

}  // namespace air::cuda
