// Memory of a device, and host memory that the device copies from without the driver's own staging.
#ifndef AIR_CUDA_MEMORY_H_
#define AIR_CUDA_MEMORY_H_

#include <cstdint>
#include <memory>

#include "native/core/status.h"
#include "native/cuda/context.h"

namespace air::cuda {

// Bytes that a new allocation may take: what the driver says of a discrete device. The memory of an integrated one is
// the host's, of which the driver does not count the page cache as free: MemAvailable of /proc/meminfo there.
Status available_memory(Context& context, int64_t* bytes);

class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  // Replaces the content, which is not zeroed. AIR_ERR_OUT_OF_MEMORY names `purpose`. Zero bytes is valid.
  Status allocate(std::shared_ptr<Context> context, int64_t bytes, const char* purpose);

  DevicePointer address() const noexcept { return address_; }
  int64_t bytes() const noexcept { return bytes_; }

 private:
  void release() noexcept;

  std::shared_ptr<Context> context_;
  DevicePointer address_ = 0;
  int64_t bytes_ = 0;
};

// Page-locked host memory.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept;
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept;
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  Status allocate(std::shared_ptr<Context> context, int64_t bytes, const char* purpose);

  uint8_t* data() const noexcept { return data_; }
  int64_t bytes() const noexcept { return bytes_; }

 private:
  void release() noexcept;

  std::shared_ptr<Context> context_;
  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_MEMORY_H_
