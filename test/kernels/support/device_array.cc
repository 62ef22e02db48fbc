#include "test/kernels/support/device_array.h"

#include <cstdlib>

namespace air_test {

namespace {

constexpr size_t kAlignment = 256;  // of cuMemAlloc

}  // namespace

DeviceBytes::DeviceBytes(const char* name, const void* contents, size_t bytes, bool writable)
    : bytes_(bytes) {
  if (gpu::in_use()) {
    data_ = gpu::allocate(bytes);
    gpu::fill(data_, 0xff, bytes);
    if (contents != nullptr) gpu::upload(data_, contents, bytes);
    return;
  }
  // A line of unregistered bytes lies before and after the data, so that one index too far meets no other array.
  allocation_ = std::aligned_alloc(kAlignment, (bytes / kAlignment + 3) * kAlignment);
  data_ = static_cast<uint8_t*>(allocation_) + kAlignment;
  std::memset(data_, 0xff, bytes);
  if (contents != nullptr) std::memcpy(data_, contents, bytes);
  air::emulator::add_buffer(name, data_, bytes, contents != nullptr, writable);
}

DeviceBytes::~DeviceBytes() {
  if (gpu::in_use()) {
    gpu::release(data_);
    return;
  }
  air::emulator::release_buffer(data_);
  std::free(allocation_);
}

void DeviceBytes::upload(const void* contents, size_t bytes) {
  if (bytes > bytes_) return report_failure(__FILE__, __LINE__, "upload of more than the array holds");
  if (gpu::in_use()) return gpu::upload(data_, contents, bytes);
  std::memcpy(data_, contents, bytes);
}

void DeviceBytes::download(void* out, size_t bytes) const {
  if (gpu::in_use()) return gpu::download(out, data_, bytes);
  std::memcpy(out, data_, bytes);
}

}  // namespace air_test
