// The exported functions for streams, events, copies, modules, kernels and graphs.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

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

constexpr uint32_t kFatbinMagic = 0xba55ed50;
constexpr Result kErrorCaptureUnsupported = 900;
constexpr unsigned kMaxGrid = 65535;  // of y and z
constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxSharedBytes = 163 * 1024;

// Drivers may refuse to load anything while a stream records.
bool is_recording(const Machine& machine) {
  return std::any_of(machine.streams.begin(), machine.streams.end(),
                     [](const auto& stream) { return stream->capture != nullptr; });
}

void* pointer_of(DevicePointer pointer) { return reinterpret_cast<void*>(pointer); }

}  // namespace

#define ENTER_CONTEXT(function) \
  Locked machine;               \
  if (const Result entered = machine->enter_context(function); entered != kSuccess) return entered

AIR_FAKE_EXPORT Result cuStreamCreate(StreamHandle* stream, unsigned) {
  ENTER_CONTEXT("cuStreamCreate");
  *stream = fake::add(machine->streams);
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuStreamSynchronize(StreamHandle stream) {
  ENTER_CONTEXT("cuStreamSynchronize");
  if (!fake::has(machine->streams, stream)) return kErrorInvalidHandle;
  if (stream->capture != nullptr) return kErrorCaptureUnsupported;
  return machine->finish(stream, stream->queued);
}

AIR_FAKE_EXPORT Result cuStreamDestroy_v2(StreamHandle stream) {
  ENTER_CONTEXT("cuStreamDestroy_v2");
  if (!fake::has(machine->streams, stream)) return kErrorInvalidHandle;
  (void)machine->finish(stream, stream->queued);
  for (const auto& event : machine->events)
    if (event->stream == stream) event->stream = nullptr;
  fake::remove(machine->streams, stream);
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuStreamWaitEvent(StreamHandle stream, EventHandle event, unsigned) {
  ENTER_CONTEXT("cuStreamWaitEvent");
  if (!fake::has(machine->events, event)) return kErrorInvalidHandle;
  if (event->stream == nullptr || event->stream == stream) return kSuccess;
  StreamObject* other = event->stream;
  const int64_t position = event->position;
  return machine->enqueue(stream, [other, position] {
    Machine& all = Machine::get();
    return fake::has(all.streams, other) ? all.finish(other, position) : kSuccess;
  });
}

AIR_FAKE_EXPORT Result cuEventCreate(EventHandle* event, unsigned flags) {
  ENTER_CONTEXT("cuEventCreate");
  *event = fake::add(machine->events);
  (*event)->is_timed = (flags & kEventDisableTiming) == 0;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuEventRecord(EventHandle event, StreamHandle stream) {
  ENTER_CONTEXT("cuEventRecord");
  if (!fake::has(machine->events, event)) return kErrorInvalidHandle;
  const Result queued = machine->enqueue(stream, [] { return kSuccess; });
  if (queued != kSuccess) return queued;
  event->stream = stream;
  event->position = stream->queued;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuEventSynchronize(EventHandle event) {
  ENTER_CONTEXT("cuEventSynchronize");
  if (!fake::has(machine->events, event)) return kErrorInvalidHandle;
  return event->stream == nullptr ? kSuccess : machine->finish(event->stream, event->position);
}

AIR_FAKE_EXPORT Result cuEventElapsedTime(float* milliseconds, EventHandle start, EventHandle end) {
  ENTER_CONTEXT("cuEventElapsedTime");
  if (!start->is_timed || !end->is_timed) return kErrorInvalidHandle;
  *milliseconds = 0.5F;  // nothing here takes a time of its own
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuEventDestroy_v2(EventHandle event) {
  ENTER_CONTEXT("cuEventDestroy_v2");
  return fake::remove(machine->events, event) ? kSuccess : kErrorInvalidHandle;
}

AIR_FAKE_EXPORT Result cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, size_t bytes,
                                            StreamHandle stream) {
  ENTER_CONTEXT("cuMemcpyHtoDAsync_v2");
  void* target = pointer_of(to);
  if (!machine->holds(true, target, bytes)) return kErrorInvalidValue;
  const auto* source = static_cast<const uint8_t*>(from);
  if (machine->holds(false, from, bytes)) {  // page-locked: read when its turn comes
    return machine->enqueue(stream, [target, source, bytes] {
      std::memcpy(target, source, bytes);
      return kSuccess;
    });
  }
  return machine->enqueue(stream, [target, copy = std::vector<uint8_t>(source, source + bytes)] {
    std::memcpy(target, copy.data(), copy.size());
    return kSuccess;
  });
}

AIR_FAKE_EXPORT Result cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, size_t bytes, StreamHandle stream) {
  ENTER_CONTEXT("cuMemcpyDtoHAsync_v2");
  const void* source = pointer_of(from);
  if (!machine->holds(true, source, bytes)) return kErrorInvalidValue;
  const Result queued = machine->enqueue(stream, [to, source, bytes] {
    std::memcpy(to, source, bytes);
    return kSuccess;
  });
  // To memory that is not page-locked, the call returns when the copy is done.
  if (queued != kSuccess || machine->holds(false, to, bytes) || stream->capture != nullptr) return queued;
  return machine->finish(stream, stream->queued);
}

AIR_FAKE_EXPORT Result cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes,
                                            StreamHandle stream) {
  ENTER_CONTEXT("cuMemcpyDtoDAsync_v2");
  void* target = pointer_of(to);
  const void* source = pointer_of(from);
  if (!machine->holds(true, target, bytes) || !machine->holds(true, source, bytes)) return kErrorInvalidValue;
  return machine->enqueue(stream, [target, source, bytes] {
    std::memmove(target, source, bytes);
    return kSuccess;
  });
}

AIR_FAKE_EXPORT Result cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes,
                                       StreamHandle stream) {
  ENTER_CONTEXT("cuMemsetD8Async");
  void* target = pointer_of(to);
  if (!machine->holds(true, target, bytes)) return kErrorInvalidValue;
  return machine->enqueue(stream, [target, value, bytes] {
    std::memset(target, value, bytes);
    return kSuccess;
  });
}

AIR_FAKE_EXPORT Result cuModuleLoadDataEx(ModuleHandle* module, const void* image, unsigned, void*, void**) {
  ENTER_CONTEXT("cuModuleLoadDataEx");
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic == kFatbinMagic) {
    const auto refusal = static_cast<Result>(machine->setting("refuse_sass", 0));
    if (refusal != 0) return refusal;
  } else {
    const auto refusal = static_cast<Result>(machine->setting("refuse_ptx", 0));
    if (refusal != 0) return refusal;
    const std::string_view text(static_cast<const char*>(image));
    if (text.find(".version 7.4") == std::string_view::npos) return kErrorUnsupportedPtxVersion;
  }
  *module = fake::add(machine->modules);
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuModuleUnload(ModuleHandle module) {
  ENTER_CONTEXT("cuModuleUnload");
  return fake::remove(machine->modules, module) ? kSuccess : kErrorInvalidHandle;
}

// Any module has all kernels.
AIR_FAKE_EXPORT Result cuModuleGetFunction(FunctionHandle* function, ModuleHandle module, const char* name) {
  ENTER_CONTEXT("cuModuleGetFunction");
  if (is_recording(machine.machine)) return kErrorCaptureUnsupported;
  if (!fake::has(machine->modules, module)) return kErrorInvalidHandle;
  const fake::Kernel* kernel = fake::find_kernel(name);
  if (kernel == nullptr) return kErrorNotFound;
  auto& owned = machine->functions[name];
  if (owned == nullptr) owned = std::make_unique<FunctionObject>();
  owned->kernel = kernel;
  *function = owned.get();
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuFuncSetAttribute(FunctionHandle function, FunctionAttribute attribute, int value) {
  ENTER_CONTEXT("cuFuncSetAttribute");
  if (is_recording(machine.machine)) return kErrorCaptureUnsupported;
  if (attribute != FunctionAttribute::kMaxDynamicSharedBytes || value < 0 ||
      value > static_cast<int>(kMaxSharedBytes))
    return kErrorInvalidValue;
  function->shared_bytes = value;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuLaunchKernel(FunctionHandle function, unsigned grid_x, unsigned grid_y,
                                      unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                                      unsigned shared_bytes, StreamHandle stream, void** parameters, void**) {
  ENTER_CONTEXT("cuLaunchKernel");
  if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > kMaxGrid || grid_z > kMaxGrid || block_x == 0 ||
      block_x > kMaxThreads || block_y != 1 || block_z != 1 || shared_bytes > function->shared_bytes)
    return kErrorInvalidValue;
  const fake::Kernel* kernel = function->kernel;
  const fake::Launch launch{{grid_x, grid_y, grid_z}, block_x, shared_bytes, kernel->bind(parameters)};
  return machine->enqueue(stream, [kernel, launch] { return Machine::get().run_kernel(*kernel, launch); });
}

AIR_FAKE_EXPORT Result cuStreamBeginCapture_v2(StreamHandle stream, int) {
  ENTER_CONTEXT("cuStreamBeginCapture_v2");
  if (!fake::has(machine->streams, stream) || stream->capture != nullptr) return kErrorInvalidHandle;
  stream->capture = std::make_unique<GraphObject>();
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuStreamEndCapture(StreamHandle stream, GraphHandle* graph) {
  ENTER_CONTEXT("cuStreamEndCapture");
  if (!fake::has(machine->streams, stream) || stream->capture == nullptr) return kErrorInvalidHandle;
  *graph = machine->graphs.insert(std::move(stream->capture)).first->get();
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuGraphInstantiateWithFlags(GraphExecHandle* exec, GraphHandle graph,
                                                   unsigned long long) {
  ENTER_CONTEXT("cuGraphInstantiateWithFlags");
  if (!fake::has(machine->graphs, graph)) return kErrorInvalidHandle;
  *exec = fake::add(machine->executables);
  (*exec)->work = graph->work;
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuGraphLaunch(GraphExecHandle exec, StreamHandle stream) {
  ENTER_CONTEXT("cuGraphLaunch");
  if (!fake::has(machine->executables, exec)) return kErrorInvalidHandle;
  for (const Work& work : exec->work) {
    const Result queued = machine->enqueue(stream, work);
    if (queued != kSuccess) return queued;
  }
  return kSuccess;
}

AIR_FAKE_EXPORT Result cuGraphExecDestroy(GraphExecHandle exec) {
  ENTER_CONTEXT("cuGraphExecDestroy");
  return fake::remove(machine->executables, exec) ? kSuccess : kErrorInvalidHandle;
}

AIR_FAKE_EXPORT Result cuGraphDestroy(GraphHandle graph) {
  ENTER_CONTEXT("cuGraphDestroy");
  return fake::remove(machine->graphs, graph) ? kSuccess : kErrorInvalidHandle;
}
