// Owning, zeroed, page-aligned memory straight from the operating system: untouched pages cost nothing.
#ifndef AIR_CORE_ALIGNED_BUFFER_H_
#define AIR_CORE_ALIGNED_BUFFER_H_

#include <cstdint>

#include "native/core/status.h"

namespace air {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  // Replaces the content. AIR_ERR_OUT_OF_MEMORY names `purpose` when the system refuses. Zero bytes is valid.
  Status allocate(int64_t bytes, const char* purpose);

  // Gives what lies beyond `bytes` back to the system, as far as whole pages go.
  void shrink(int64_t bytes) noexcept;

  uint8_t* data() noexcept { return data_; }
  const uint8_t* data() const noexcept { return data_; }
  int64_t bytes() const noexcept { return bytes_; }

 private:
  void release() noexcept;

  uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace air

#endif  // AIR_CORE_ALIGNED_BUFFER_H_
