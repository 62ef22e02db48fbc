// Page memory for keys and values. It owns bytes, not pages: which page belongs to whom is lib/cache's.
#ifndef AIR_CORE_KV_ARENA_H_
#define AIR_CORE_KV_ARENA_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/include/air_formats.h"
#include "native/core/model.h"
#include "native/core/page_memory.h"
#include "native/core/status.h"

namespace air {

constexpr uint8_t kDroppedHead = 255;  // head_mask value: the KV head has no pages and contributes nothing

struct ArenaOptions {
  std::vector<uint8_t> head_mask;  // [layers, kv_heads] head group of each KV head, or kDroppedHead
  int64_t page_tokens = 0;
  std::vector<int64_t> page_counts;  // [groups], the null page 0 included
  AirKvType key_type = AIR_KV_INT8;
  AirKvType value_type = AIR_KV_INT8;
  bool rotate_keys = false;  // keys are stored, and queries read them, after hadamard_transform()
};

class KvArena {
 public:
  // A page is what the members of the host's layers keep, then that of the device's: each in a memory of its own.
  struct Group {
    int64_t members = 0;  // (layer, KV head) pairs
    int64_t page_count = 0;
    int64_t page_bytes = 0;              // members * layout.member_bytes
    int64_t host_page_bytes = 0;         // of them, on the host
    std::unique_ptr<PageMemory> host;    // [page_count, host_page_bytes]
    std::unique_ptr<PageMemory> device;  // [page_count, page_bytes - host_page_bytes]

    int64_t device_page_bytes() const { return page_bytes - host_page_bytes; }
  };
  // Where one KV head of one layer lives.
  struct Member {
    int32_t group = -1;  // -1: dropped
    int64_t offset = 0;  // bytes into every page of the group
  };

  // Pages in host memory.
  static Status create(std::shared_ptr<const Model> model, const ArenaOptions& options,
                       std::shared_ptr<KvArena>* arena);
  // Pages of the first host_layers layers in host memory, of the others in what make_device_memory gives.
  static Status create(std::shared_ptr<const Model> model, const ArenaOptions& options, int64_t host_layers,
                       const PageMemoryMaker& make_device_memory, std::shared_ptr<KvArena>* arena);

  const std::shared_ptr<const Model>& model() const { return model_; }
  const AirKvLayout& layout() const { return layout_; }
  bool rotates_keys() const { return rotates_keys_; }
  const std::vector<Group>& groups() const { return groups_; }
  int64_t group_count() const { return static_cast<int64_t>(groups_.size()); }
  const Member& member(int64_t layer, int64_t kv_head) const {
    return members_[static_cast<size_t>(layer * model_->spec().kv_heads + kv_head)];
  }
  // Page 0 of the group at the member's offset; member.group >= 0, and the layer is one of the host's.
  uint8_t* member_pages(const Member& member) {
    return groups_[static_cast<size_t>(member.group)].host->host_data() + member.offset;
  }
  // Bytes from there to page 1.
  int64_t member_page_stride(const Member& member) const {
    return groups_[static_cast<size_t>(member.group)].host_page_bytes;
  }
  int64_t bytes() const;

  // Copies page src[i] to dst[i], in order. The caller makes sure that no forward runs.
  Status copy_pages(int64_t group, const int32_t* src, const int32_t* dst, int64_t count);
  // Copies pages to `out` or from `bytes`, [count, page_bytes] in `length` bytes. The caller makes sure that no forward
  // runs.
  Status read_pages(int64_t group, const int32_t* pages, int64_t count, uint8_t* out, int64_t length) const;
  Status write_pages(int64_t group, const int32_t* pages, int64_t count, const uint8_t* bytes,
                     int64_t length);

 private:
  KvArena() = default;
  Status allocate(Group& group, const PageMemoryMaker& make_device_memory) const;
  template <typename Work>
  static Status in_memories(const Group& group, const Work& work);
  Status check_pages(int64_t group, const int32_t* pages, int64_t count, const char* what) const;
  Status check_page_bytes(int64_t group, const int32_t* pages, int64_t count, int64_t length,
                          const char* what) const;

  std::shared_ptr<const Model> model_;
  AirKvLayout layout_{};
  bool rotates_keys_ = false;
  std::vector<Group> groups_;
  std::vector<Member> members_;  // [layers, kv_heads]
};

}  // namespace air

#endif  // AIR_CORE_KV_ARENA_H_
