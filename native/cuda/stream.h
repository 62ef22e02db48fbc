// A queue of work on a device, and marks in it.
#ifndef AIR_CUDA_STREAM_H_
#define AIR_CUDA_STREAM_H_

#include <cstdint>
#include <memory>

#include "native/core/status.h"
#include "native/cuda/context.h"

namespace air::cuda {

// Everything is queued and done in order. Calls need a Context::Scope on the calling thread.
class Stream {
 public:
  Stream() = default;
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Status create(std::shared_ptr<Context> context);

  Status to_device(DevicePointer to, const void* from, int64_t bytes);
  Status to_host(void* to, DevicePointer from, int64_t bytes);
  Status on_device(DevicePointer to, DevicePointer from, int64_t bytes);
  Status fill(DevicePointer to, uint8_t value, int64_t bytes);
  // Waits until all that was queued is done; reports the failure of any of it.
  Status synchronize();

  Context& context() const { return *context_; }
  StreamHandle handle() const noexcept { return handle_; }

 private:
  std::shared_ptr<Context> context_;
  StreamHandle handle_ = nullptr;
};

class Event {
 public:
  Event() = default;
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Status create(std::shared_ptr<Context> context, bool is_timed = false);
  Status record(const Stream& stream);
  // Waits until the work before the last record() is done. At once when there was none.
  Status synchronize();
  // Both timed and done.
  Status milliseconds_since(const Event& start, float* milliseconds) const;

 private:
  std::shared_ptr<Context> context_;
  EventHandle handle_ = nullptr;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_STREAM_H_
