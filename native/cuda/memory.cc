#include "native/cuda/memory.h"

#include <cstdio>
#include <string>
#include <utility>

namespace air::cuda {

namespace {

// 0 when the system does not say.
int64_t host_available_bytes() {
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return 0;
  char line[128];
  long long kilobytes = 0;
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::sscanf(line, "MemAvailable: %lld kB", &kilobytes) == 1) break;
  }
  std::fclose(file);
  return int64_t{kilobytes} * 1024;
}

std::string purpose_of(int64_t bytes, const char* purpose) {
  return std::to_string(bytes) + " bytes of " + purpose;
}

}  // namespace

Status available_memory(Context& context, int64_t* bytes) {
  if (context.device().is_integrated) {
    *bytes = host_available_bytes();
    if (*bytes > 0) return {};
  }
  const Context::Scope scope(context);
  AIR_RETURN_IF_ERROR(scope.status());
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  AIR_RETURN_IF_ERROR(AIR_CUDA_TRY(context, memory_info, "the free memory", &free_bytes, &total_bytes));
  *bytes = static_cast<int64_t>(free_bytes);
  return {};
}

Status DeviceBuffer::allocate(std::shared_ptr<Context> context, int64_t bytes, const char* purpose) {
  release();
  if (bytes == 0) return {};
  AIR_RETURN_IF_ERROR(context->usable());
  const Context::Scope scope(*context);
  AIR_RETURN_IF_ERROR(scope.status());
  AIR_RETURN_IF_ERROR(AIR_CUDA_TRY(*context, memory_allocate, purpose_of(bytes, purpose), &address_,
                                   static_cast<size_t>(bytes)));
  context_ = std::move(context);
  bytes_ = bytes;
  return {};
}

void DeviceBuffer::release() noexcept {
  if (address_ != 0) {
    const Context::Scope scope(*context_);
    (void)context_->driver().memory_free(address_);  // fails when the context is lost, and is freed with it
  }
  context_.reset();
  address_ = 0;
  bytes_ = 0;
}

DeviceBuffer::~DeviceBuffer() { release(); }

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : context_(std::move(other.context_)),
      address_(std::exchange(other.address_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  context_ = std::move(other.context_);
  address_ = std::exchange(other.address_, 0);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

Status PinnedBuffer::allocate(std::shared_ptr<Context> context, int64_t bytes, const char* purpose) {
  release();
  if (bytes == 0) return {};
  AIR_RETURN_IF_ERROR(context->usable());
  const Context::Scope scope(*context);
  AIR_RETURN_IF_ERROR(scope.status());
  void* data = nullptr;
  AIR_RETURN_IF_ERROR(
      AIR_CUDA_TRY(*context, host_allocate, purpose_of(bytes, purpose), &data, static_cast<size_t>(bytes)));
  data_ = static_cast<uint8_t*>(data);
  context_ = std::move(context);
  bytes_ = bytes;
  return {};
}

void PinnedBuffer::release() noexcept {
  if (data_ != nullptr) {
    const Context::Scope scope(*context_);
    (void)context_->driver().host_free(data_);
  }
  context_.reset();
  data_ = nullptr;
  bytes_ = 0;
}

PinnedBuffer::~PinnedBuffer() { release(); }

PinnedBuffer::PinnedBuffer(PinnedBuffer&& other) noexcept
    : context_(std::move(other.context_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

PinnedBuffer& PinnedBuffer::operator=(PinnedBuffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  context_ = std::move(other.context_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

}  // namespace air::cuda
