#include "native/cuda/device_pages.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/launch/kv_pages.h"
#include "native/cuda/memory.h"
#include "native/cuda/stream.h"

namespace air::cuda {

namespace {

// Most bytes that cross at a time, in whole members.
constexpr int64_t kStagingBytes = int64_t{1} << 20;

// What crosses is converted in a page-locked buffer, so every read and write is finished when it returns.
class DevicePages final : public PageMemory {
 public:
  DevicePages(std::shared_ptr<Context> context, const AirKvLayout& layout)
      : context_(std::move(context)), layout_(layout) {}

  Status allocate(int64_t bytes) {
    AIR_RETURN_IF_ERROR(memory_.allocate(context_, bytes, "KV pages"));
    const Context::Scope scope(*context_);
    AIR_RETURN_IF_ERROR(scope.status());
    AIR_RETURN_IF_ERROR(stream_.create(context_));
    AIR_RETURN_IF_ERROR(stream_.fill(memory_.address(), 0, bytes));
    return stream_.synchronize();
  }

  int64_t bytes() const override { return memory_.bytes(); }
  uint64_t address() const override { return memory_.address(); }
  uint8_t* host_data() override { return nullptr; }

  Status copy(int64_t from, int64_t to, int64_t length) override {
    if (from == to) return {};
    const Context::Scope scope(*context_);
    AIR_RETURN_IF_ERROR(scope.status());
    return stream_.on_device(at(to), at(from), length);
  }

  Status read(int64_t from, uint8_t* out, int64_t length) override {
    return in_pieces(length, [&](int64_t offset, int64_t piece) {
      AIR_RETURN_IF_ERROR(stream_.to_host(staging_.data(), at(from + offset), piece));
      AIR_RETURN_IF_ERROR(stream_.synchronize());
      for (int64_t member = 0; member < piece; member += layout_.member_bytes)
        member_from_device(layout_, staging_.data() + member, out + offset + member);
      return Status();
    });
  }

  Status write(int64_t to, const uint8_t* data, int64_t length) override {
    return in_pieces(length, [&](int64_t offset, int64_t piece) {
      for (int64_t member = 0; member < piece; member += layout_.member_bytes)
        member_to_device(layout_, data + offset + member, staging_.data() + member);
      AIR_RETURN_IF_ERROR(stream_.to_device(at(to + offset), staging_.data(), piece));
      return stream_.synchronize();
    });
  }

  Status finish() override {
    const Context::Scope scope(*context_);
    AIR_RETURN_IF_ERROR(scope.status());
    return stream_.synchronize();
  }

 private:
  DevicePointer at(int64_t offset) const { return memory_.address() + static_cast<DevicePointer>(offset); }

  // move(offset, bytes) for pieces of whole members that fit the staging buffer.
  template <typename Move>
  Status in_pieces(int64_t length, const Move& move) {
    const int64_t piece = std::max<int64_t>(kStagingBytes / layout_.member_bytes, 1) * layout_.member_bytes;
    if (staging_.bytes() == 0) AIR_RETURN_IF_ERROR(staging_.allocate(context_, piece, "page copies"));
    const Context::Scope scope(*context_);
    AIR_RETURN_IF_ERROR(scope.status());
    for (int64_t offset = 0; offset < length; offset += piece)
      AIR_RETURN_IF_ERROR(move(offset, std::min(piece, length - offset)));
    return {};
  }

  const std::shared_ptr<Context> context_;
  const AirKvLayout layout_;
  DeviceBuffer memory_;
  PinnedBuffer staging_;  // made when it is first needed
  Stream stream_;
};

}  // namespace

PageMemoryMaker device_page_maker(std::shared_ptr<Context> context) {
  return [context = std::move(context)](const AirKvLayout& layout, int64_t bytes,
                                        std::unique_ptr<PageMemory>* memory) {
    auto pages = std::make_unique<DevicePages>(context, layout);
    AIR_RETURN_IF_ERROR(pages->allocate(bytes));
    *memory = std::move(pages);
    return Status();
  };
}

}  // namespace air::cuda
