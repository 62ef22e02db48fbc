#include "native/core/aligned_buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace air {

namespace {
// Below this a huge page wastes more than it saves.
constexpr int64_t kHugePageThresholdBytes = int64_t{8} << 20;
}  // namespace

AlignedBuffer::~AlignedBuffer() { release(); }

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Status AlignedBuffer::allocate(int64_t bytes, const char* purpose) {
  release();
  if (bytes == 0) return {};
  void* memory = bytes < 0 ? MAP_FAILED
                           : mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return {StatusCode::kOutOfMemory, "expected " + std::to_string(bytes) + " bytes of memory for " +
                                          purpose + " but the system refused them"};
  }
#ifdef MADV_HUGEPAGE
  // Fewer TLB misses on weights; a refusal changes nothing.
  if (bytes >= kHugePageThresholdBytes) (void)madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  data_ = static_cast<uint8_t*>(memory);
  bytes_ = bytes;
  return {};
}

void AlignedBuffer::shrink(int64_t bytes) noexcept {
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const int64_t kept = (bytes + page - 1) / page * page;
  if (kept == 0) return release();
  if (kept >= bytes_) return;
  munmap(data_ + kept, static_cast<size_t>(bytes_ - kept));
  bytes_ = kept;
}

void AlignedBuffer::release() noexcept {
  if (data_ != nullptr) munmap(data_, static_cast<size_t>(bytes_));
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace air
