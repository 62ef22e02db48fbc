// A file that appears under its name only when it is complete. Readers and mappings of an older one keep it.
#ifndef AIR_CORE_ATOMIC_FILE_H_
#define AIR_CORE_ATOMIC_FILE_H_

#include <cstdint>
#include <string>

#include "native/core/status.h"

namespace air {

// Writes to "<path>.tmp", locked against other writers; a file that an interrupted process left there is taken
// over. Every failure is AIR_ERR_IO with the path and the system's reason, or AIR_ERR_BUSY while somebody else
// writes the same file.
class AtomicFile {
 public:
  AtomicFile() = default;
  // Removes what was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  Status open(const std::string& path);
  Status write_at(int64_t offset, const void* data, int64_t bytes);
  // Waits until the content is on the disk, then gives it its name.
  Status commit();

 private:
  Status failed(int error) const;

  std::string path_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace air

#endif  // AIR_CORE_ATOMIC_FILE_H_
