#include "native/core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace air {

namespace {

int64_t modified_nanos_of(const struct stat& info) noexcept {
  return int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec;
}

}  // namespace

MappedFile::~MappedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(bytes_));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      data_(std::exchange(other.data_, nullptr)),
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
  if (memory == MAP_FAILED) {
    const int error = errno;
    ::close(fd);
    return failed(error);
  }
  path_ = path;
  descriptor_ = fd;
  data_ = static_cast<const uint8_t*>(memory);
  bytes_ = info.st_size;
  modified_nanos_ = modified_nanos_of(info);
  return {};
}

Status MappedFile::check_unchanged() const {
  struct stat info {};
  std::string received;
  if (fstat(descriptor_, &info) != 0) {
    received = std::strerror(errno);
  } else if (info.st_size != bytes_) {
    received = "one of " + std::to_string(info.st_size) + " bytes in place of " + std::to_string(bytes_);
  } else if (modified_nanos_of(info) != modified_nanos_) {
    received = "one that was written to";
  } else {
    return {};
  }
  return {StatusCode::kIo, "expected the file as it was loaded for " + path_ + " but received " + received};
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
