#include "native/core/kv_arena.h"

#include <limits>
#include <string>

namespace air {

namespace {

constexpr int64_t kMaxGroups = 16;
constexpr int64_t kMaxPageTokens = 1024;

AirKvLayout make_layout(int64_t page_tokens, int64_t head_dim, AirKvType key_type, AirKvType value_type) {
  const auto value_bytes = [&](AirKvType type) {
    const int64_t values = page_tokens * head_dim;
    return type == AIR_KV_INT4 ? values / 2 : type == AIR_KV_INT8 ? values : 2 * values;
  };
  const auto scale_bytes = [&](AirKvType type) {
    const int64_t per_token = type == AIR_KV_INT4 ? head_dim / AIR_GROUP : type == AIR_KV_INT8 ? 1 : 0;
    return page_tokens * per_token * int64_t{sizeof(uint16_t)};
  };
  AirKvLayout layout{};
  layout.page_tokens = static_cast<int32_t>(page_tokens);
  layout.head_dim = static_cast<int32_t>(head_dim);
  layout.key_type = key_type;
  layout.value_type = value_type;
  layout.values_offset = value_bytes(key_type);
  layout.key_scales_offset = layout.values_offset + value_bytes(value_type);
  layout.value_scales_offset = layout.key_scales_offset + scale_bytes(key_type);
  const int64_t bytes = layout.value_scales_offset + scale_bytes(value_type);
  layout.member_bytes = (bytes + 63) / 64 * 64;
  return layout;
}

// The keys and values of a KV head without query heads are not computed (native/core/pruning.h).
Status check_pruned_heads(const Model& model, const std::vector<uint8_t>& head_mask) {
  const int64_t kv_heads = model.spec().kv_heads;
  for (size_t i = 0; i < head_mask.size(); ++i) {
    const auto layer = static_cast<int64_t>(i) / kv_heads;
    const int64_t kv_head = static_cast<int64_t>(i) % kv_heads;
    if (head_mask[i] == kDroppedHead || model.layers()[static_cast<size_t>(layer)].shape.has_kv_head(kv_head))
      continue;
    return {StatusCode::kArgument, "expected 255 (dropped) for headMask of layer " + std::to_string(layer) +
                                       ", KV head " + std::to_string(kv_head) +
                                       ", which is pruned, but received " + std::to_string(head_mask[i])};
  }
  return {};
}

}  // namespace

Status KvArena::create(std::shared_ptr<const Model> model, const ArenaOptions& options,
                       std::shared_ptr<KvArena>* arena) {
  const int64_t layers = model->spec().layers;
  return create(std::move(model), options, layers, {}, arena);
}

Status KvArena::create(std::shared_ptr<const Model> model, const ArenaOptions& options, int64_t host_layers,
                       const PageMemoryMaker& make_device_memory, std::shared_ptr<KvArena>* arena) {
  const DecoderSpec& spec = model->spec();
  const auto group_count = static_cast<int64_t>(options.page_counts.size());
  if (group_count < 1 || group_count > kMaxGroups) {
    return {StatusCode::kArgument,
            "expected 1 to 16 head groups for pageCounts but received " + std::to_string(group_count)};
  }
  if (options.page_tokens < AIR_STRIPE || options.page_tokens > kMaxPageTokens ||
      options.page_tokens % AIR_STRIPE != 0) {
    return {StatusCode::kArgument, "expected a multiple of 16 from 16 to 1024 for pageTokens but received " +
                                       std::to_string(options.page_tokens)};
  }
  if (static_cast<int64_t>(options.head_mask.size()) != spec.layers * spec.kv_heads) {
    return {StatusCode::kShape, "expected layers * kvHeads = " + std::to_string(spec.layers * spec.kv_heads) +
                                    " values for headMask but received " +
                                    std::to_string(options.head_mask.size())};
  }
  AIR_RETURN_IF_ERROR(check_pruned_heads(*model, options.head_mask));
  auto created = std::shared_ptr<KvArena>(new KvArena());
  created->model_ = std::move(model);
  created->layout_ =
      make_layout(options.page_tokens, spec.padded_head_dim(), options.key_type, options.value_type);
  created->rotates_keys_ = options.rotate_keys;
  created->groups_.resize(static_cast<size_t>(group_count));
  for (const uint8_t group : options.head_mask) {
    Member member;
    if (group != kDroppedHead) {
      if (group >= group_count) {
        return {StatusCode::kArgument, "expected a head group below " + std::to_string(group_count) +
                                           " (or 255, dropped) for headMask but received " +
                                           std::to_string(group)};
      }
      Group& target = created->groups_[group];
      member.group = group;
      member.offset = target.members++ * created->layout_.member_bytes;
      const int64_t layer = static_cast<int64_t>(created->members_.size()) / spec.kv_heads;
      if (layer < host_layers) target.host_page_bytes += created->layout_.member_bytes;
    }
    created->members_.push_back(member);
  }
  for (int64_t index = 0; index < group_count; ++index) {
    Group& group = created->groups_[static_cast<size_t>(index)];
    group.page_count = options.page_counts[static_cast<size_t>(index)];
    group.page_bytes = group.members * created->layout_.member_bytes;
    // Slots (page * pageTokens + offset) are int32.
    const int64_t most_pages = std::numeric_limits<int32_t>::max() / options.page_tokens;
    if (group.page_count < 1 || group.page_count > most_pages) {
      return {StatusCode::kArgument, "expected 1 to " + std::to_string(most_pages) +
                                         " pages for pageCounts[" + std::to_string(index) +
                                         "] but received " + std::to_string(group.page_count)};
    }
    if (group.page_bytes > 0 && group.page_count > std::numeric_limits<int64_t>::max() / group.page_bytes) {
      return {StatusCode::kOutOfMemory,
              "expected KV pages that fit the address space for pageCounts but received " +
                  std::to_string(group.page_count)};
    }
    AIR_RETURN_IF_ERROR(created->allocate(group, make_device_memory));
  }
  *arena = std::move(created);
  return {};
}

Status KvArena::allocate(Group& group, const PageMemoryMaker& make_device_memory) const {
  if (group.host_page_bytes > 0) {
    AIR_RETURN_IF_ERROR(make_host_pages(layout_, group.page_count * group.host_page_bytes, &group.host));
  }
  if (group.device_page_bytes() == 0) return {};
  return make_device_memory(layout_, group.page_count * group.device_page_bytes(), &group.device);
}

int64_t KvArena::bytes() const {
  int64_t total = 0;
  for (const Group& group : groups_) {
    for (const PageMemory* memory : {group.host.get(), group.device.get()})
      total += memory == nullptr ? 0 : memory->bytes();
  }
  return total;
}

Status KvArena::check_pages(int64_t group, const int32_t* pages, int64_t count, const char* what) const {
  if (group < 0 || group >= group_count()) {
    return {StatusCode::kPageRange, "expected a head group below " + std::to_string(group_count()) + " for " +
                                        what + " but received " + std::to_string(group)};
  }
  const int64_t page_count = groups_[static_cast<size_t>(group)].page_count;
  for (int64_t i = 0; i < count; ++i) {
    if (pages[i] < 1 || pages[i] >= page_count) {
      return {StatusCode::kPageRange, "expected a page from 1 to " + std::to_string(page_count - 1) +
                                          " for " + what + " but received " + std::to_string(pages[i])};
    }
  }
  return {};
}

Status KvArena::check_page_bytes(int64_t group, const int32_t* pages, int64_t count, int64_t length,
                                 const char* what) const {
  AIR_RETURN_IF_ERROR(check_pages(group, pages, count, what));
  const int64_t expected = count * groups_[static_cast<size_t>(group)].page_bytes;
  if (length != expected) {
    return {StatusCode::kShape, "expected " + std::to_string(expected) + " bytes for " + what +
                                    " but received " + std::to_string(length)};
  }
  return {};
}

// work(memory, bytes of a page there, where they begin in the page) for the memories that a group has.
template <typename Work>
Status KvArena::in_memories(const Group& group, const Work& work) {
  if (group.host != nullptr) {
    AIR_RETURN_IF_ERROR(work(*group.host, group.host_page_bytes, 0));
    AIR_RETURN_IF_ERROR(group.host->finish());
  }
  if (group.device == nullptr) return {};
  AIR_RETURN_IF_ERROR(work(*group.device, group.device_page_bytes(), group.host_page_bytes));
  return group.device->finish();
}

Status KvArena::copy_pages(int64_t group, const int32_t* src, const int32_t* dst, int64_t count) {
  AIR_RETURN_IF_ERROR(check_pages(group, src, count, "copyPages"));
  AIR_RETURN_IF_ERROR(check_pages(group, dst, count, "copyPages"));
  const Group& pages = groups_[static_cast<size_t>(group)];
  return in_memories(pages, [&](PageMemory& memory, int64_t bytes, int64_t) {
    for (int64_t i = 0; i < count; ++i)
      AIR_RETURN_IF_ERROR(memory.copy(src[i] * bytes, dst[i] * bytes, bytes));
    return Status();
  });
}

Status KvArena::read_pages(int64_t group, const int32_t* pages, int64_t count, uint8_t* out,
                           int64_t length) const {
  AIR_RETURN_IF_ERROR(check_page_bytes(group, pages, count, length, "readPages"));
  const Group& source = groups_[static_cast<size_t>(group)];
  return in_memories(source, [&](PageMemory& memory, int64_t bytes, int64_t begin) {
    for (int64_t i = 0; i < count; ++i)
      AIR_RETURN_IF_ERROR(memory.read(pages[i] * bytes, out + i * source.page_bytes + begin, bytes));
    return Status();
  });
}

Status KvArena::write_pages(int64_t group, const int32_t* pages, int64_t count, const uint8_t* bytes,
                            int64_t length) {
  AIR_RETURN_IF_ERROR(check_page_bytes(group, pages, count, length, "writePages"));
  const Group& target = groups_[static_cast<size_t>(group)];
  return in_memories(target, [&](PageMemory& memory, int64_t part, int64_t begin) {
    for (int64_t i = 0; i < count; ++i)
      AIR_RETURN_IF_ERROR(memory.write(pages[i] * part, bytes + i * target.page_bytes + begin, part));
    return Status();
  });
}

}  // namespace air
