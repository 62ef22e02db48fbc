// Memory for the pages of one head group, in the host's or a device's address space.
#ifndef AIR_CORE_PAGE_MEMORY_H_
#define AIR_CORE_PAGE_MEMORY_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "kernels/include/air_formats.h"
#include "native/core/status.h"

namespace air {

// Zeroed when it is made. Offsets and lengths are bytes of whole pages within bounds: KvArena checks them. A device may
// order the bytes of a page otherwise; what is read and written here has the layout of air_formats.h.
class PageMemory {
 public:
  virtual ~PageMemory() = default;

  virtual int64_t bytes() const = 0;
  // Where it begins for the device that computes on it.
  virtual uint64_t address() const = 0;
  // Null where the host cannot read it.
  virtual uint8_t* host_data() = 0;

  // Each may still be under way when it returns, until finish().
  virtual Status copy(int64_t from, int64_t to, int64_t length) = 0;
  virtual Status read(int64_t from, uint8_t* out, int64_t length) = 0;
  virtual Status write(int64_t to, const uint8_t* data, int64_t length) = 0;
  virtual Status finish() = 0;
};

// Bytes of whole pages of members in the layout.
using PageMemoryMaker =
    std::function<Status(const AirKvLayout& layout, int64_t bytes, std::unique_ptr<PageMemory>* memory)>;

Status make_host_pages(const AirKvLayout& layout, int64_t bytes, std::unique_ptr<PageMemory>* memory);

}  // namespace air

#endif  // AIR_CORE_PAGE_MEMORY_H_
