// How far a long piece of work is, for a caller who may stop it.
#ifndef AIR_CORE_PROGRESS_H_
#define AIR_CORE_PROGRESS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <new>

#include "native/core/status.h"

namespace air {

// Called by the loading thread now and then; false stops the loading with AIR_ERR_CANCELLED. May be empty.
using ProgressCallback = std::function<bool(int64_t done_bytes, int64_t total_bytes)>;

class Progress {
 public:
  explicit Progress(const ProgressCallback& callback) : callback_(callback) {}

  // Begins work of so many bytes; what was reported before no longer counts.
  void start(int64_t total_bytes) noexcept {
    total_bytes_ = total_bytes;
    done_bytes_.store(0, std::memory_order_relaxed);
  }

  void finish() noexcept { done_bytes_.store(total_bytes_, std::memory_order_relaxed); }

  // Any thread.
  void advance(int64_t bytes) noexcept { done_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  // Loading thread only. AIR_ERR_CANCELLED when the caller wants no more. The callback may throw std::bad_alloc.
  Status report() const noexcept {
    try {
      if (!callback_ || callback_(done_bytes_.load(std::memory_order_relaxed), total_bytes_)) return {};
      return {StatusCode::kCancelled, "the loading was cancelled"};
    } catch (const std::bad_alloc&) {
      return {StatusCode::kOutOfMemory, "expected memory but received none"};
    }
  }

 private:
  const ProgressCallback& callback_;
  int64_t total_bytes_ = 0;
  std::atomic<int64_t> done_bytes_{0};
};

}  // namespace air

#endif  // AIR_CORE_PROGRESS_H_
