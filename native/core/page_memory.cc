#include "native/core/page_memory.h"

#include <cstring>
#include <utility>

#include "native/core/aligned_buffer.h"

namespace air {

namespace {

class HostPages final : public PageMemory {
 public:
  Status allocate(int64_t bytes) { return memory_.allocate(bytes, "KV pages"); }

  int64_t bytes() const override { return memory_.bytes(); }
  uint64_t address() const override { return reinterpret_cast<uintptr_t>(memory_.data()); }
  uint8_t* host_data() override { return memory_.data(); }

  Status copy(int64_t from, int64_t to, int64_t length) override {
    std::memmove(memory_.data() + to, memory_.data() + from, static_cast<size_t>(length));
    return {};
  }
  Status read(int64_t from, uint8_t* out, int64_t length) override {
    std::memcpy(out, memory_.data() + from, static_cast<size_t>(length));
    return {};
  }
  Status write(int64_t to, const uint8_t* data, int64_t length) override {
    std::memcpy(memory_.data() + to, data, static_cast<size_t>(length));
    return {};
  }
  Status finish() override { return {}; }

 private:
  AlignedBuffer memory_;
};

}  // namespace

Status make_host_pages(const AirKvLayout&, int64_t bytes, std::unique_ptr<PageMemory>* memory) {
  auto pages = std::make_unique<HostPages>();
  AIR_RETURN_IF_ERROR(pages->allocate(bytes));
  *memory = std::move(pages);
  return {};
}

}  // namespace air
