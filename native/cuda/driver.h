// The CUDA driver as a table of functions, opened at run time: one addon serves machines with and without a GPU.
#ifndef AIR_CUDA_DRIVER_H_
#define AIR_CUDA_DRIVER_H_

#include <memory>
#include <string>

#include "native/core/status.h"
#include "native/cuda/driver_types.h"

namespace air::cuda {

// X(member, exported name, parameters). Names carry the suffix of the version whose signature this is.
#define AIR_CUDA_FUNCTIONS(X)                                                                              \
  X(init, cuInit, (unsigned flags))                                                                        \
  X(driver_version, cuDriverGetVersion, (int* version))                                                    \
  X(error_name, cuGetErrorName, (Result error, const char** name))                                         \
  X(error_string, cuGetErrorString, (Result error, const char** text))                                     \
  X(device_count, cuDeviceGetCount, (int* count))                                                          \
  X(device_get, cuDeviceGet, (Device * device, int ordinal))                                               \
  X(device_name, cuDeviceGetName, (char* name, int length, Device device))                                 \
  X(device_total_memory, cuDeviceTotalMem_v2, (size_t * bytes, Device device))                             \
  X(device_attribute, cuDeviceGetAttribute, (int* value, DeviceAttribute attribute, Device device))        \
  X(context_retain, cuDevicePrimaryCtxRetain, (ContextHandle * context, Device device))                    \
  X(context_release, cuDevicePrimaryCtxRelease_v2, (Device device))                                        \
  X(context_push, cuCtxPushCurrent_v2, (ContextHandle context))                                            \
  X(context_pop, cuCtxPopCurrent_v2, (ContextHandle * context))                                            \
  X(memory_info, cuMemGetInfo_v2, (size_t * free_bytes, size_t * total_bytes))                             \
  X(memory_allocate, cuMemAlloc_v2, (DevicePointer * pointer, size_t bytes))                               \
  X(memory_free, cuMemFree_v2, (DevicePointer pointer))                                                    \
  X(host_allocate, cuMemAllocHost_v2, (void** pointer, size_t bytes))                                      \
  X(host_free, cuMemFreeHost, (void* pointer))                                                             \
  X(copy_to_device, cuMemcpyHtoDAsync_v2,                                                                  \
    (DevicePointer to, const void* from, size_t bytes, StreamHandle stream))                               \
  X(copy_to_host, cuMemcpyDtoHAsync_v2, (void* to, DevicePointer from, size_t bytes, StreamHandle stream)) \
  X(copy_on_device, cuMemcpyDtoDAsync_v2,                                                                  \
    (DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream))                             \
  X(fill, cuMemsetD8Async, (DevicePointer to, unsigned char value, size_t bytes, StreamHandle stream))     \
  X(stream_create, cuStreamCreate, (StreamHandle * stream, unsigned flags))                                \
  X(stream_synchronize, cuStreamSynchronize, (StreamHandle stream))                                        \
  X(stream_destroy, cuStreamDestroy_v2, (StreamHandle stream))                                             \
  X(stream_wait, cuStreamWaitEvent, (StreamHandle stream, EventHandle event, unsigned flags))              \
  X(event_create, cuEventCreate, (EventHandle * event, unsigned flags))                                    \
  X(event_record, cuEventRecord, (EventHandle event, StreamHandle stream))                                 \
  X(event_synchronize, cuEventSynchronize, (EventHandle event))                                            \
  X(event_elapsed, cuEventElapsedTime, (float* milliseconds, EventHandle start, EventHandle end))          \
  X(event_destroy, cuEventDestroy_v2, (EventHandle event))                                                 \
  X(module_load, cuModuleLoadDataEx,                                                                       \
    (ModuleHandle * module, const void* image, unsigned count, JitOption* options, void** values))         \
  X(module_unload, cuModuleUnload, (ModuleHandle module))                                                  \
  X(module_function, cuModuleGetFunction,                                                                  \
    (FunctionHandle * function, ModuleHandle module, const char* name))                                    \
  X(function_set_attribute, cuFuncSetAttribute,                                                            \
    (FunctionHandle function, FunctionAttribute attribute, int value))                                     \
  X(launch, cuLaunchKernel,                                                                                \
    (FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,         \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle stream, void** parameters,    \
     void** extra))                                                                                        \
  X(capture_begin, cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                               \
  X(capture_end, cuStreamEndCapture, (StreamHandle stream, GraphHandle * graph))                           \
  X(graph_instantiate, cuGraphInstantiateWithFlags,                                                        \
    (GraphExecHandle * exec, GraphHandle graph, unsigned long long flags))                                 \
  X(graph_launch, cuGraphLaunch, (GraphExecHandle exec, StreamHandle stream))                              \
  X(graph_exec_destroy, cuGraphExecDestroy, (GraphExecHandle exec))                                        \
  X(graph_destroy, cuGraphDestroy, (GraphHandle graph))

class Driver {
 public:
  // Opens and initialises the driver of AIR_CUDA_LIBRARY, else libcuda.so.1. AIR_ERR_NO_DEVICE when there is none or
  // it is of no use, with its reason. Every call opens it anew: what was missing may have been installed.
  static Status open(std::shared_ptr<const Driver>* driver);
  static Status open(const std::string& library, std::shared_ptr<const Driver>* driver);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Makes a result a Status: "expected <call> to succeed for <purpose> but received <name> (<number>): <text>".
  Status check(Result result, const char* call, const std::string& purpose) const;

  // CUDA version that the driver speaks, 1000 * major + 10 * minor.
  int version() const { return version_; }
  const std::string& library() const { return library_; }

#define AIR_CUDA_MEMBER(member, name, parameters) Result(*member) parameters = nullptr;
  AIR_CUDA_FUNCTIONS(AIR_CUDA_MEMBER)
#undef AIR_CUDA_MEMBER

 private:
  Driver() = default;
  Status resolve();

  void* handle_ = nullptr;
  std::string library_;
  int version_ = 0;
};

// Whether a result leaves the context beyond use: everything in it fails from then on.
bool is_lost(Result result) noexcept;

// driver.CALL(arguments) as a Status that names the call and what it was for.
#define AIR_CUDA_CALL(driver, member, purpose, ...) \
  (driver).check((driver).member(__VA_ARGS__), #member, purpose)

}  // namespace air::cuda

#endif  // AIR_CUDA_DRIVER_H_
