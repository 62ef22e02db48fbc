// A device and its primary context, shared by all that runs on it. What lives in it keeps it alive.
#ifndef AIR_CUDA_CONTEXT_H_
#define AIR_CUDA_CONTEXT_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "native/core/status.h"
#include "native/cuda/driver.h"

namespace air::cuda {

// What a device is, as the driver says.
struct DeviceInfo {
  int ordinal = 0;
  Device handle = 0;
  std::string name;
  int capability = 0;  // 10 * major + minor: 87
  int multiprocessors = 0;
  int shared_bytes = 0;  // most dynamic shared memory of a block
  int shared_bytes_per_multiprocessor = 0;
  int64_t total_bytes = 0;
  bool is_integrated = false;  // its memory is the host's
};

// Devices of the driver, in its order. Makes no context.
Status list_devices(const Driver& driver, std::vector<DeviceInfo>* devices);

class Context {
 public:
  // AIR_ERR_NO_DEVICE when there is no such device, AIR_ERR_UNSUPPORTED when it is older than our kernels.
  static Status create(std::shared_ptr<const Driver> driver, int ordinal, std::shared_ptr<Context>* context);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Driver& driver() const { return *driver_; }
  const DeviceInfo& device() const { return device_; }

  // A call's result as a Status. Remembers whether it left the context beyond use.
  Status check(Result result, const char* call, const std::string& purpose);
  // AIR_ERR_DEVICE once a kernel has failed: nothing in this context works any more.
  Status usable() const;
  bool is_lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

  // Makes the context that of the calling thread as long as it lives.
  class Scope {
   public:
    explicit Scope(const Context& context);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    // The reason why the context could not be made current.
    Status status() const;

   private:
    const Context& context_;
    const Result result_;
  };

 private:
  explicit Context(std::shared_ptr<const Driver> driver) : driver_(std::move(driver)) {}

  const std::shared_ptr<const Driver> driver_;
  DeviceInfo device_;
  ContextHandle handle_ = nullptr;
  std::atomic<bool> lost_{false};
};

// context.driver().MEMBER(arguments) as a Status, remembered by the context.
#define AIR_CUDA_TRY(context, member, purpose, ...) \
  (context).check((context).driver().member(__VA_ARGS__), #member, purpose)

}  // namespace air::cuda

#endif  // AIR_CUDA_CONTEXT_H_
