#include "native/core/atomic_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "test/native/check.h"

using air::AtomicFile;
using air::StatusCode;

namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;

  Folder() {
    char pattern[] = "/tmp/air-atomic-XXXXXX";
    path = mkdtemp(pattern);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }

  std::string file() const { return (path / "file").string(); }
  int64_t count() const { return std::distance(fs::directory_iterator(path), {}); }
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

TEST(a_file_appears_when_it_is_committed) {
  const Folder folder;
  write(folder.file(), "old");
  AtomicFile file;
  CHECK(file.open(folder.file()).ok());
  CHECK(file.write_at(3, "def", 3).ok());
  CHECK(file.write_at(0, "abc", 3).ok());
  CHECK_EQ(read(folder.file()), "old");
  CHECK(file.commit().ok());
  CHECK_EQ(read(folder.file()), "abcdef");
  CHECK_EQ(folder.count(), 1);
}

TEST(what_is_not_committed_leaves_the_old_file) {
  const Folder folder;
  write(folder.file(), "old");
  {
    AtomicFile file;
    CHECK(file.open(folder.file()).ok());
    CHECK(file.write_at(0, "new", 3).ok());
  }
  CHECK_EQ(read(folder.file()), "old");
  CHECK_EQ(folder.count(), 1);
}

TEST(a_second_writer_is_refused_until_the_first_is_done) {
  const Folder folder;
  AtomicFile second;
  {
    AtomicFile first;
    CHECK(first.open(folder.file()).ok());
    CHECK(second.open(folder.file()).code() == StatusCode::kBusy);
    CHECK(first.write_at(0, "first", 5).ok() && first.commit().ok());
  }
  CHECK(second.open(folder.file()).ok());
  CHECK_EQ(read(folder.file()), "first");
}

TEST(what_an_interrupted_writer_left_is_taken_over) {
  const Folder folder;
  write(folder.file() + ".tmp", "a longer text than the new one");
  AtomicFile file;
  CHECK(file.open(folder.file()).ok());
  CHECK(file.write_at(0, "new", 3).ok() && file.commit().ok());
  CHECK_EQ(read(folder.file()), "new");
  CHECK_EQ(folder.count(), 1);
}

TEST(a_link_in_the_place_of_the_temporary_file_is_not_followed) {
  const Folder folder;
  const std::string victim = (folder.path / "victim").string();
  write(victim, "precious");
  fs::create_symlink(victim, folder.file() + ".tmp");
  AtomicFile file;
  CHECK(file.open(folder.file()).code() == StatusCode::kIo);
  CHECK_EQ(read(victim), "precious");
}

TEST(failures_name_the_path_and_the_reason) {
  const Folder folder;
  AtomicFile missing;
  const air::Status opened = missing.open(folder.file() + "/below");
  CHECK(opened.code() == StatusCode::kIo);
  CHECK_EQ(opened.message(), "expected a writable file for " + folder.file() +
                                 "/below but received: No such file or directory");
  fs::create_directory(folder.file());
  AtomicFile file;
  CHECK(file.open(folder.file()).ok());
  CHECK(file.commit().code() == StatusCode::kIo);
}
