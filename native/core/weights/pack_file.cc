#include "native/core/weights/pack_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "kernels/include/air_formats.h"
#include "native/core/atomic_file.h"
#include "native/core/hash.h"

namespace air {

namespace {

constexpr uint64_t kMagic = 0x314b434150524941;  // "AIRPACK1"
// Unit of hashing and writing. Where the file system has large folios, the page cache keeps an aligned write of
// this size in one huge page and maps it as such, which spares decoding its TLB misses.
constexpr int64_t kPieceBytes = int64_t{2} << 20;
constexpr int64_t kPackedOffset = kPieceBytes;
constexpr const char* kExtension = ".airpack";

struct PackHeader {
  uint64_t magic;
  char layout[16];  // layout_name, padded with zeros
  uint32_t format_version;
  uint32_t conversions;
  uint64_t source_path_bytes;
  uint64_t identity;
  uint64_t modified;
  uint64_t source_hash;
  uint64_t packed_bytes;
  uint64_t packed_hash;  // of the hashes of all pieces
  uint64_t front_hash;   // of all before the hole, with 0 here
};
static_assert(sizeof(PackHeader) == 88 && std::is_trivially_copyable_v<PackHeader>);
static_assert(sizeof(ConversionError) == 24 && std::is_trivially_copyable_v<ConversionError>);

// All before the hole.
struct Front {
  PackHeader header{};
  std::vector<ConversionError> errors;
  std::string source;
};

std::vector<uint8_t> encode_front(const Front& front) {
  const size_t errors_bytes = front.errors.size() * sizeof(ConversionError);
  std::vector<uint8_t> bytes(sizeof(PackHeader) + errors_bytes + front.source.size());
  uint8_t* next = bytes.data() + sizeof(PackHeader);
  if (errors_bytes > 0) std::memcpy(next, front.errors.data(), errors_bytes);
  std::memcpy(next + errors_bytes, front.source.data(), front.source.size());
  PackHeader header = front.header;
  header.front_hash = 0;
  std::memcpy(bytes.data(), &header, sizeof(header));
  header.front_hash = hash_bytes(bytes.data(), static_cast<int64_t>(bytes.size()), 0);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

// False unless the file is a complete one of ours; nothing in it is trusted before its hash matches.
bool decode_front(const MappedFile& file, Front* front) {
  constexpr uint64_t kMaxEntries = 32768;  // more conversions or longer paths than there can be
  static_assert(sizeof(PackHeader) + kMaxEntries * (sizeof(ConversionError) + 1) < kPackedOffset);
  PackHeader& header = front->header;
  if (file.bytes() < kPackedOffset) return false;
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.magic != kMagic || header.conversions > kMaxEntries || header.source_path_bytes > kMaxEntries ||
      header.packed_bytes != static_cast<uint64_t>(file.bytes() - kPackedOffset)) {
    return false;
  }
  const uint8_t* next = file.data() + sizeof(PackHeader);
  front->errors.resize(header.conversions);
  const size_t errors_bytes = front->errors.size() * sizeof(ConversionError);
  if (errors_bytes > 0) std::memcpy(front->errors.data(), next, errors_bytes);
  front->source.assign(reinterpret_cast<const char*>(next + errors_bytes), header.source_path_bytes);
  const std::vector<uint8_t> expected = encode_front(*front);
  return std::memcmp(expected.data(), file.data(), expected.size()) == 0;
}

PackHeader header_of(const PackKey& key, const PackContent& content) {
  PackHeader header{};
  header.magic = kMagic;
  key.layout.copy(header.layout, sizeof(header.layout));
  header.format_version = AIR_FORMAT_VERSION;
  header.conversions = static_cast<uint32_t>(content.errors.size());
  header.source_path_bytes = key.source.size();
  header.identity = key.identity;
  header.modified = key.modified;
  header.source_hash = content.source_hash;
  header.packed_bytes = static_cast<uint64_t>(key.packed_bytes);
  return header;
}

int64_t pieces_of(int64_t bytes) { return (bytes + kPieceBytes - 1) / kPieceBytes; }

uint64_t hash_piece(const uint8_t* packed, int64_t bytes, int64_t piece) {
  const int64_t begin = piece * kPieceBytes;
  return hash_bytes(packed + begin, std::min(kPieceBytes, bytes - begin), static_cast<uint64_t>(piece));
}

uint64_t combine(const std::vector<uint64_t>& hashes) {
  return hash_bytes(hashes.data(), static_cast<int64_t>(hashes.size() * sizeof(uint64_t)), 0);
}

// With all threads: reads the whole file once, which also brings it into memory.
Status hash_packed(const uint8_t* packed, int64_t bytes, ThreadPool& pool, Progress& progress,
                   uint64_t* hash) {
  std::vector<uint64_t> hashes(static_cast<size_t>(pieces_of(bytes)));
  std::atomic<bool> stopped{false};
  Status status;  // of the loading thread's reports
  pool.run([&](Team& team) {
    team.for_each(pieces_of(bytes), 1, [&](int64_t piece, int64_t) {
      if (stopped.load(std::memory_order_relaxed)) return;
      hashes[static_cast<size_t>(piece)] = hash_piece(packed, bytes, piece);
      progress.advance(std::min(kPieceBytes, bytes - piece * kPieceBytes));
      if (team.thread() != 0) return;
      status = progress.report();
      if (!status.ok()) stopped.store(true, std::memory_order_relaxed);
    });
  });
  *hash = combine(hashes);
  return status;
}

Status not_usable(const std::string& path, const std::string& expected, const std::string& received) {
  return {StatusCode::kModelFormat, "expected " + expected + " for " + path + " but received " + received};
}

// "tile16 version 1"
std::string format_text(const PackHeader& header) {
  const std::string layout(header.layout, strnlen(header.layout, sizeof(header.layout)));
  return layout + " version " + std::to_string(header.format_version);
}

// A file that this build would have written for this model, as far as its front tells.
Status check_front(const std::string& path, const PackKey& key, const Front& front) {
  const PackHeader& header = front.header;
  const PackHeader expected = header_of(key, {0, front.errors});
  if (header.format_version != expected.format_version ||
      std::memcmp(header.layout, expected.layout, sizeof(header.layout)) != 0) {
    return not_usable(path, "packed format " + format_text(expected), format_text(header));
  }
  if (header.identity != expected.identity || header.packed_bytes != expected.packed_bytes ||
      header.conversions != key.conversions) {
    return not_usable(path, "the packed weights of this model", "another's");
  }
  return {};
}

// Pack files of the same model file and layout that were made from what it held before. Those of the same content
// are of other prunings.
void remove_superseded(const std::string& path, const Front& written) {
  std::error_code error;
  const std::filesystem::path kept(path);
  std::filesystem::directory_iterator entry(kept.parent_path(), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (entry->path().extension() != kExtension || entry->path() == kept) continue;
    MappedFile file;
    Front front;
    if (!file.open(entry->path().string()).ok() || !decode_front(file, &front)) continue;
    const bool same_layout =
        std::memcmp(front.header.layout, written.header.layout, sizeof(front.header.layout)) == 0;
    std::error_code ignored;
    const bool is_earlier = front.header.modified != written.header.modified;
    if (same_layout && is_earlier && front.source == written.source) std::filesystem::remove(entry->path(), ignored);
  }
}

}  // namespace

std::string pack_file_path(const std::string& directory, const PackKey& key) {
  constexpr size_t kMaxNameBytes = 200;  // a file name has at most 255
  std::filesystem::path source(key.source);
  if (source.extension() == ".gguf") source.replace_extension();
  char identity[17];
  std::snprintf(identity, sizeof(identity), "%016" PRIx64, key.identity);
  return directory + '/' + source.filename().string().substr(0, kMaxNameBytes) + '-' + identity + kExtension;
}

Status open_pack_file(const std::string& path, const PackKey& key, ThreadPool& pool, Progress& progress,
                      const std::function<Status(uint64_t* hash)>& source_hash, PackFile* pack) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 && errno == ENOENT) return {StatusCode::kIo, ""};
  AIR_RETURN_IF_ERROR(pack->file.open(path));
  Front front;
  if (!decode_front(pack->file, &front)) {
    return not_usable(path, "a whole file of packed weights", "a damaged one");
  }
  AIR_RETURN_IF_ERROR(check_front(path, key, front));
  pack->packed = pack->file.data() + kPackedOffset;
  pack->file.prefer_huge_pages();
  uint64_t hash = 0;
  progress.start(key.packed_bytes);
  AIR_RETURN_IF_ERROR(hash_packed(pack->packed, key.packed_bytes, pool, progress, &hash));
  if (hash != front.header.packed_hash) {
    return not_usable(path, "the checksum in its header", "another");
  }
  if (front.header.modified != key.modified) {
    AIR_RETURN_IF_ERROR(source_hash(&hash));
    if (hash != front.header.source_hash) {
      return not_usable(path, "the content that the model file had", "another");
    }
  }
  pack->content = {front.header.source_hash, std::move(front.errors)};
  return {};
}

Status write_pack_file(const std::string& path, const PackKey& key, const PackContent& content,
                       const uint8_t* packed, Progress& progress) {
  Front front{header_of(key, content), content.errors, key.source};
  AtomicFile file;
  AIR_RETURN_IF_ERROR(file.open(path));
  std::vector<uint64_t> hashes;
  for (int64_t piece = 0; piece < pieces_of(key.packed_bytes); ++piece) {
    const int64_t begin = piece * kPieceBytes;
    const int64_t bytes = std::min(kPieceBytes, key.packed_bytes - begin);
    hashes.push_back(hash_piece(packed, key.packed_bytes, piece));
    AIR_RETURN_IF_ERROR(file.write_at(kPackedOffset + begin, packed + begin, bytes));
    progress.advance(bytes);
    AIR_RETURN_IF_ERROR(progress.report());
  }
  front.header.packed_hash = combine(hashes);
  const std::vector<uint8_t> bytes = encode_front(front);
  AIR_RETURN_IF_ERROR(file.write_at(0, bytes.data(), static_cast<int64_t>(bytes.size())));
  AIR_RETURN_IF_ERROR(file.commit());
  remove_superseded(path, front);
  return {};
}

}  // namespace air
