#include "native/core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace air {

namespace {

// False when the name went to another file, or to none, between opening and locking it.
bool still_named(int fd, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  (void)unlink(temporary_.c_str());  // while it is locked, so that it is not somebody else's
  (void)close(fd_);
}

Status AtomicFile::open(const std::string& path) {
  const std::string temporary = path + ".tmp";
  const Status busy{StatusCode::kBusy, "expected no other writer for " + path + " but received one"};
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  path_ = path;
  if (fd < 0) return failed(errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    (void)close(fd);
    return error == EWOULDBLOCK ? busy : failed(error);
  }
  if (!still_named(fd, temporary)) {
    (void)close(fd);
    return busy;
  }
  fd_ = fd;
  temporary_ = temporary;
  return ftruncate(fd_, 0) == 0 ? Status() : failed(errno);
}

Status AtomicFile::write_at(int64_t offset, const void* data, int64_t bytes) {
  const auto* next = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(fd_, next, static_cast<size_t>(bytes), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed(written == 0 ? ENOSPC : errno);
    next += written;
    offset += written;
    bytes -= written;
  }
  return {};
}

Status AtomicFile::commit() {
  if (fsync(fd_) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) return failed(errno);
  (void)close(fd_);
  fd_ = -1;
  return {};
}

Status AtomicFile::failed(int error) const {
  return {StatusCode::kIo,
          "expected a writable file for " + path_ + " but received: " + std::strerror(error)};
}

}  // namespace air
