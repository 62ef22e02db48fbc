#include "native/core/mapped_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <utility>

#include "test/native/check.h"

using air::MappedFile;
using air::Status;
using air::StatusCode;

namespace fs = std::filesystem;

namespace {

constexpr size_t kBytes = 40000;  // several pages

void write(const fs::path& path, char fill) { std::ofstream(path) << std::string(kBytes, fill); }

// A mapped file in a folder that goes with the object. It was last written to a minute ago, so that the clock of
// the file system tells what comes later from it.
struct Fixture {
  fs::path folder;
  MappedFile file;

  Fixture() {
    char pattern[] = "/tmp/air-mapped-XXXXXX";
    folder = mkdtemp(pattern);
    write(path(), 'a');
    fs::last_write_time(path(), fs::last_write_time(path()) - std::chrono::minutes(1));
    CHECK(file.open(path()).ok());
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;
  ~Fixture() { fs::remove_all(folder); }

  std::string path() const { return (folder / "file").string(); }
};

void check_changed(const MappedFile& file, const std::string& received) {
  const Status status = file.check_unchanged();
  CHECK(status.code() == StatusCode::kIo);
  CHECK(status.message().find(received) != std::string::npos);
}

}  // namespace

TEST(a_mapped_file_is_unchanged_while_nobody_writes_to_it) {
  Fixture fixture;
  CHECK(fixture.file.check_unchanged().ok());
  const MappedFile moved = std::move(fixture.file);
  CHECK(moved.check_unchanged().ok());
  CHECK(moved.data()[kBytes - 1] == 'a');
}

TEST(a_mapped_file_outlives_its_replacement_and_its_removal) {
  const Fixture fixture;
  write(fixture.path() + ".new", 'b');
  fs::rename(fixture.path() + ".new", fixture.path());
  CHECK(fixture.file.check_unchanged().ok());
  CHECK(fixture.file.data()[0] == 'a');
  fs::remove(fixture.path());
  CHECK(fixture.file.check_unchanged().ok());
}

TEST(a_mapped_file_that_is_cut_is_told) {
  const Fixture fixture;
  fs::resize_file(fixture.path(), 100);
  check_changed(fixture.file, "received one of 100 bytes in place of 40000");
}

TEST(a_mapped_file_that_is_written_over_is_told) {
  const Fixture fixture;
  write(fixture.path(), 'b');
  check_changed(fixture.file, "received one that was written to");
}

TEST(a_mapped_file_closes_its_descriptor) {
  const int before = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(before);
  { const Fixture fixture; }
  const int after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(after);
  CHECK_EQ(after, before);
}
