// A read-only mapping of a whole file. Reading beyond what is left of a file that was cut short ends the process
// (SIGBUS), so whoever goes on reading for long asks check_unchanged() before.
#ifndef AIR_CORE_MAPPED_FILE_H_
#define AIR_CORE_MAPPED_FILE_H_

#include <cstdint>
#include <string>

#include "native/core/status.h"

namespace air {

class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // AIR_ERR_IO names the path and the system's reason.
  Status open(const std::string& path);

  const uint8_t* data() const noexcept { return data_; }
  int64_t bytes() const noexcept { return bytes_; }
  // Time of the last modification when it was opened, in nanoseconds since 1970.
  int64_t modified_nanos() const noexcept { return modified_nanos_; }

  // AIR_ERR_IO when the file was written to, or cut, since it was opened. One that was replaced by another of the
  // same name is still the same.
  Status check_unchanged() const;

  // Asks for huge pages, as far as the file system has them: what is read over and over misses the TLB less.
  void prefer_huge_pages() const noexcept;

  // Gives whole pages inside [data, data + bytes) back to the page cache: resident memory falls, the content
  // stays readable.
  static void drop_resident(const uint8_t* data, int64_t bytes) noexcept;

 private:
  std::string path_;
  int descriptor_ = -1;
  const uint8_t* data_ = nullptr;
  int64_t bytes_ = 0;
  int64_t modified_nanos_ = 0;
};

}  // namespace air

#endif  // AIR_CORE_MAPPED_FILE_H_
