#include "native/core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace air {

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(bytes_));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      modified_nanos_(other.modified_nanos_) {}

Status MappedFile::open(const std::string& path) {
  const auto failed = [&path](int error) {
    return Status(StatusCode::kIo,
                  "expected a readable file for " + path + " but received: " + std::strerror(error));
  };
  const int fd =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not wait for a writer
  if (fd < 0) return failed(errno);
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    ::close(fd);
    return failed(error);
  }
  if (!S_ISREG(info.st_mode) || info.st_size <= 0) {
    ::close(fd);
    return failed(S_ISDIR(info.st_mode) ? EISDIR : ENODATA);
  }
  void* memory = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (memory == MAP_FAILED) return failed(error);
  data_ = static_cast<const uint8_t*>(memory);
  bytes_ = info.st_size;
  modified_nanos_ = int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
  return {};
}

void MappedFile::prefer_huge_pages() const noexcept {
#ifdef MADV_HUGEPAGE
  (void)madvise(const_cast<uint8_t*>(data_), static_cast<size_t>(bytes_), MADV_HUGEPAGE);
#endif
}

void MappedFile::drop_resident(const uint8_t* data, int64_t bytes) noexcept {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes)) / page * page;
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace air
