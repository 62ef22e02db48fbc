#include "native/cuda/stream.h"

#include <utility>

namespace air::cuda {

Status Stream::create(std::shared_ptr<Context> context) {
  AIR_RETURN_IF_ERROR(context->usable());
  AIR_RETURN_IF_ERROR(AIR_CUDA_TRY(*context, stream_create, "a stream", &handle_, kStreamNonBlocking));
  context_ = std::move(context);
  return {};
}

Stream::~Stream() {
  if (handle_ == nullptr) return;
  const Context::Scope scope(*context_);
  (void)context_->driver().stream_destroy(handle_);
}

Status Stream::to_device(DevicePointer to, const void* from, int64_t bytes) {
  if (bytes == 0) return {};
  return AIR_CUDA_TRY(*context_, copy_to_device, "a copy to the device", to, from, static_cast<size_t>(bytes),
                      handle_);
}

Status Stream::to_host(void* to, DevicePointer from, int64_t bytes) {
  if (bytes == 0) return {};
  return AIR_CUDA_TRY(*context_, copy_to_host, "a copy from the device", to, from, static_cast<size_t>(bytes),
                      handle_);
}

Status Stream::on_device(DevicePointer to, DevicePointer from, int64_t bytes) {
  if (bytes == 0) return {};
  return AIR_CUDA_TRY(*context_, copy_on_device, "a copy on the device", to, from, static_cast<size_t>(bytes),
                      handle_);
}

Status Stream::fill(DevicePointer to, uint8_t value, int64_t bytes) {
  if (bytes == 0) return {};
  return AIR_CUDA_TRY(*context_, fill, "filling device memory", to, value, static_cast<size_t>(bytes),
                      handle_);
}

Status Stream::synchronize() {
  return AIR_CUDA_TRY(*context_, stream_synchronize, "the work on the device", handle_);
}

Status Event::create(std::shared_ptr<Context> context, bool is_timed) {
  AIR_RETURN_IF_ERROR(context->usable());
  AIR_RETURN_IF_ERROR(AIR_CUDA_TRY(*context, event_create, "an event", &handle_,
                                   is_timed ? kEventDefault : kEventDisableTiming));
  context_ = std::move(context);
  return {};
}

Event::~Event() {
  if (handle_ == nullptr) return;
  const Context::Scope scope(*context_);
  (void)context_->driver().event_destroy(handle_);
}

Status Event::record(const Stream& stream) {
  return AIR_CUDA_TRY(*context_, event_record, "an event", handle_, stream.handle());
}

Status Event::synchronize() {
  return AIR_CUDA_TRY(*context_, event_synchronize, "the work before an event", handle_);
}

Status Event::milliseconds_since(const Event& start, float* milliseconds) const {
  return AIR_CUDA_TRY(*context_, event_elapsed, "the time between events", milliseconds, start.handle_,
                      handle_);
}

}  // namespace air::cuda
