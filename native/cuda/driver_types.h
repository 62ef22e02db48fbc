// What we use of the CUDA driver API (libcuda.so.1), declared here so that no toolkit is needed to build. Values and
// signatures are those of NVIDIA's CUDA Driver API reference; all exist since CUDA 11.4, the oldest that JetPack 5 has.
#ifndef AIR_CUDA_DRIVER_TYPES_H_
#define AIR_CUDA_DRIVER_TYPES_H_

#include <cstddef>
#include <cstdint>

namespace air::cuda {

using Result = int;                        // CUresult
using Device = int;                        // CUdevice
using DevicePointer = unsigned long long;  // CUdeviceptr

// Opaque handles of the driver.
struct ContextObject;
struct ModuleObject;
struct FunctionObject;
struct StreamObject;
struct EventObject;
struct GraphObject;
struct GraphExecObject;
using ContextHandle = ContextObject*;
using ModuleHandle = ModuleObject*;
using FunctionHandle = FunctionObject*;
using StreamHandle = StreamObject*;
using EventHandle = EventObject*;
using GraphHandle = GraphObject*;
using GraphExecHandle = GraphExecObject*;

// CUresult values that decide something here; the driver names all others itself.
constexpr Result kSuccess = 0;
constexpr Result kErrorInvalidValue = 1;
constexpr Result kErrorOutOfMemory = 2;
constexpr Result kErrorNotInitialized = 3;
constexpr Result kErrorDeinitialized = 4;
constexpr Result kErrorStubLibrary = 34;
constexpr Result kErrorDeviceUnavailable = 46;
constexpr Result kErrorNoDevice = 100;
constexpr Result kErrorInvalidDevice = 101;
constexpr Result kErrorDeviceNotLicensed = 102;
constexpr Result kErrorInvalidImage = 200;
constexpr Result kErrorInvalidContext = 201;
constexpr Result kErrorNoBinaryForGpu = 209;
constexpr Result kErrorEccUncorrectable = 214;
constexpr Result kErrorInvalidPtx = 218;
constexpr Result kErrorJitCompilerNotFound = 221;
constexpr Result kErrorUnsupportedPtxVersion = 222;
constexpr Result kErrorJitCompilationDisabled = 223;
constexpr Result kErrorInvalidSource = 300;
constexpr Result kErrorInvalidHandle = 400;
constexpr Result kErrorNotFound = 500;
constexpr Result kErrorIllegalAddress = 700;
constexpr Result kErrorLaunchOutOfResources = 701;
constexpr Result kErrorLaunchTimeout = 702;
constexpr Result kErrorContextIsDestroyed = 709;
constexpr Result kErrorAssert = 710;
constexpr Result kErrorHardwareStack = 714;
constexpr Result kErrorIllegalInstruction = 715;
constexpr Result kErrorMisalignedAddress = 716;
constexpr Result kErrorInvalidAddressSpace = 717;
constexpr Result kErrorInvalidProgramCounter = 718;
constexpr Result kErrorLaunchFailed = 719;
constexpr Result kErrorSystemDriverMismatch = 803;
constexpr Result kErrorCompatNotSupportedOnDevice = 804;
constexpr Result kErrorStreamCaptureInvalidated = 901;

// CUdevice_attribute
enum class DeviceAttribute : int {
  kMultiprocessorCount = 16,
  kIntegrated = 18,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kMaxSharedMemoryPerMultiprocessor = 81,
  kMaxSharedMemoryPerBlockOptin = 97,
};

// CUfunction_attribute
enum class FunctionAttribute : int {
  kMaxDynamicSharedBytes = 8,
};

// CUjit_option
enum class JitOption : int {
  kErrorLogBuffer = 5,
  kErrorLogBufferBytes = 6,
};

constexpr unsigned kStreamNonBlocking = 1;    // CU_STREAM_NON_BLOCKING
constexpr unsigned kEventDefault = 0;         // CU_EVENT_DEFAULT
constexpr unsigned kEventDisableTiming = 2;   // CU_EVENT_DISABLE_TIMING
constexpr unsigned kContextBlockingSync = 4;  // CU_CTX_SCHED_BLOCKING_SYNC
constexpr int kCaptureModeRelaxed = 2;        // CU_STREAM_CAPTURE_MODE_RELAXED

}  // namespace air::cuda

#endif  // AIR_CUDA_DRIVER_TYPES_H_
