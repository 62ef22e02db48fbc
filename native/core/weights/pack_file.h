// Packed weights on disk, so that the next load maps them instead of packing again. One file per model:
//
//   at 0      PackHeader, then a ConversionError per conversion, then the absolute path of the model file
//   at 2 MiB  the packed matrices as they lie in memory; a hole before them
//
// What makes a file usable: the format, layout and identity (Packer::identity) that this build would write, a
// model file of the same size and time of modification, or else with the same content, and matching checksums.
// Its numbers are trusted like the model's own: whoever can write it can change what the model says, but not
// make the kernels read outside of it.
#ifndef AIR_CORE_WEIGHTS_PACK_FILE_H_
#define AIR_CORE_WEIGHTS_PACK_FILE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "native/core/mapped_file.h"
#include "native/core/progress.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/core/weights/pack.h"

namespace air {

// What a pack file must have been made from.
struct PackKey {
  std::string source;     // absolute path of the model file
  std::string layout;     // layout_name
  uint64_t identity = 0;  // Packer::identity
  uint64_t modified = 0;  // hash of sizes and times of modification
  int64_t packed_bytes = 0;
  size_t conversions = 0;
};

struct PackContent {
  uint64_t source_hash = 0;  // Packer::source_hash
  std::vector<ConversionError> errors;
};

struct PackFile {
  MappedFile file;
  const uint8_t* packed = nullptr;  // [key.packed_bytes], page-aligned
  PackContent content;
};

// "<directory>/<name of the model file>-<identity>.airpack"
std::string pack_file_path(const std::string& directory, const PackKey& key);

// Maps and verifies the file. source_hash(&hash) reads the model file; it is asked when only the times differ.
// Fails with AIR_ERR_CANCELLED when the caller cancels, and else with the reason why the file is not usable,
// which is empty when there is none.
Status open_pack_file(const std::string& path, const PackKey& key, ThreadPool& pool, Progress& progress,
                      const std::function<Status(uint64_t* hash)>& source_hash, PackFile* pack);

// Writes the file, then removes pack files that were made from an earlier content of the same model file.
// Advances `progress` by key.packed_bytes.
Status write_pack_file(const std::string& path, const PackKey& key, const PackContent& content,
                       const uint8_t* packed, Progress& progress);

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACK_FILE_H_
