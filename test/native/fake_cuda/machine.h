// The state of the fake driver: one machine with a few devices, whose kernels run in the emulator.
#ifndef AIR_TEST_NATIVE_FAKE_CUDA_MACHINE_H_
#define AIR_TEST_NATIVE_FAKE_CUDA_MACHINE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "native/cuda/driver_types.h"
#include "test/native/fake_cuda/kernel_table.h"

namespace air::cuda {

// Queued work. Returns what went wrong on the device.
using Work = std::function<Result()>;

struct ContextObject {
  Device device = 0;
  int references = 0;
  Result lost = kSuccess;  // the failure that ended it
};
struct ModuleObject {};
struct FunctionObject {
  const fake::Kernel* kernel = nullptr;
  int64_t shared_bytes = 48 * 1024;
};
struct GraphObject {
  std::vector<Work> work;
};
struct GraphExecObject {
  std::vector<Work> work;
};
struct StreamObject {
  std::deque<Work> pending;
  int64_t queued = 0;  // pieces of work since it was made
  int64_t done = 0;
  std::unique_ptr<GraphObject> capture;  // while recording
};
struct EventObject {
  StreamObject* stream = nullptr;  // of the last record
  int64_t position = 0;
  bool is_timed = false;
};

}  // namespace air::cuda

namespace fake {

using air::cuda::Result;
using air::cuda::Work;

// All members are guarded by `mutex`, which every exported function holds.
class Machine {
 public:
  static Machine& get();

  void reset();
  void set(const std::string& name, int64_t value) { settings_[name] = value; }
  int64_t setting(const std::string& name, int64_t fallback) const;
  void fail(const std::string& function, int nth, Result result) { failures_[function] = {nth, result}; }

  // Counts a call. What it fails with, by injection; kSuccess otherwise.
  Result enter(const std::string& function);
  // The same, for calls that need a context: also without a current one, or with a lost one.
  Result enter_context(const std::string& function);
  int64_t calls(const std::string& function) const;
  int64_t live(const std::string& kind) const;

  // Runs a kernel that was queued; a failure loses the context.
  Result run_kernel(const Kernel& kernel, const Launch& launch);
  Result enqueue(air::cuda::StreamObject* stream, Work work);
  // Does the stream's work up to a position.
  Result finish(air::cuda::StreamObject* stream, int64_t position);
  Result finish_all();

  void retain(air::cuda::Device device, air::cuda::ContextHandle* context);
  Result release(air::cuda::Device device);
  Result push(air::cuda::ContextHandle context);
  Result pop(air::cuda::ContextHandle* context);

  Result allocate(bool is_device, size_t bytes, void** pointer);
  Result free(bool is_device, void* pointer);
  // Whether [pointer, pointer + bytes) lies in one live allocation.
  bool holds(bool is_device, const void* pointer, size_t bytes) const;
  size_t device_bytes() const;

  std::mutex mutex;
  std::string problem;  // of the emulator
  std::set<std::unique_ptr<air::cuda::StreamObject>> streams;
  std::set<std::unique_ptr<air::cuda::EventObject>> events;
  std::set<std::unique_ptr<air::cuda::ModuleObject>> modules;
  std::set<std::unique_ptr<air::cuda::GraphObject>> graphs;
  std::set<std::unique_ptr<air::cuda::GraphExecObject>> executables;
  std::map<std::string, std::unique_ptr<air::cuda::FunctionObject>> functions;

 private:
  struct Failure {
    int nth = 0;
    Result result = 0;
  };
  using Block = std::unique_ptr<uint8_t, void (*)(void*)>;
  struct Allocation {
    Block memory;
    size_t bytes;
  };

  Machine() { reset(); }
  void clear_objects();
  const std::map<const uint8_t*, Allocation>& allocations(bool is_device) const {
    return is_device ? device_memory_ : host_memory_;
  }

  std::map<std::string, int64_t> settings_;
  std::map<std::string, Failure> failures_;
  std::map<std::string, int64_t> calls_;
  std::map<air::cuda::Device, std::unique_ptr<air::cuda::ContextObject>> contexts_;
  std::map<const uint8_t*, Allocation> device_memory_;
  std::map<const uint8_t*, Allocation> host_memory_;
};

// Whether the result loses a context.
bool is_fatal(Result result);

template <typename Object>
Object* add(std::set<std::unique_ptr<Object>>& objects) {
  return objects.insert(std::make_unique<Object>()).first->get();
}
template <typename Object>
bool remove(std::set<std::unique_ptr<Object>>& objects, Object* object) {
  for (auto it = objects.begin(); it != objects.end(); ++it) {
    if (it->get() != object) continue;
    objects.erase(it);
    return true;
  }
  return false;
}
template <typename Object>
bool has(const std::set<std::unique_ptr<Object>>& objects, const Object* object) {
  for (const auto& owned : objects)
    if (owned.get() == object) return true;
  return false;
}

}  // namespace fake

#endif  // AIR_TEST_NATIVE_FAKE_CUDA_MACHINE_H_
