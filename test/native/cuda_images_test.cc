// The kernels that this build carries, and the reading of their container.
#include "native/cuda/images.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "test/native/check.h"

using air::cuda::fatbin_targets;

namespace {

void append(std::vector<uint8_t>* bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i, value >>= 8) bytes->push_back(static_cast<uint8_t>(value));
}

// An entry of nvcc's container: its header of 64 bytes, then the payload.
void append_entry(std::vector<uint8_t>* bytes, int kind, uint32_t capability, uint64_t payload) {
  const size_t start = bytes->size();
  append(bytes, static_cast<uint64_t>(kind), 2);
  append(bytes, 0x0101, 2);
  append(bytes, 64, 4);
  append(bytes, payload, 8);
  append(bytes, 0, 12);  // compressed size, options, version
  append(bytes, capability, 4);
  bytes->resize(start + 64 + payload);
}

std::vector<uint8_t> container(const std::vector<uint8_t>& entries) {
  std::vector<uint8_t> bytes;
  append(&bytes, 0xba55ed50, 4);
  append(&bytes, 1, 2);
  append(&bytes, 16, 2);
  append(&bytes, entries.size(), 8);
  bytes.insert(bytes.end(), entries.begin(), entries.end());
  return bytes;
}

}  // namespace

TEST(targets_are_read_from_the_container) {
  std::vector<uint8_t> entries;
  append_entry(&entries, 2, 80, 40);
  append_entry(&entries, 1, 75, 8);  // PTX
  append_entry(&entries, 2, 87, 0);
  const auto bytes = container(entries);
  const auto size = static_cast<int64_t>(bytes.size());
  CHECK(fatbin_targets(bytes.data(), size) == std::vector<int>({80, 87}));
  // Cut anywhere, it names no target that is not there.
  for (int64_t length = 0; length < size; ++length) {
    const auto targets = fatbin_targets(bytes.data(), length);
    CHECK(targets.size() <= 1 && (targets.empty() || targets[0] == 80));
  }
  CHECK(fatbin_targets(reinterpret_cast<const uint8_t*>("no container at all"), 19).empty());
}

// In a build without nvcc there is nothing to check here, and the addon says so (`air doctor`).
TEST(every_kernel_file_has_sass_for_every_target_and_ptx_of_version_7_4) {
  for (const air::cuda::KernelImage& image : air::cuda::kernel_images()) {
    if (std::string(image.name) == "fake") continue;  // AIR_CUDA=FAKE
    const auto targets = fatbin_targets(image.fatbin, image.fatbin_bytes);
    for (const int target : {80, 86, 87, 89, 90}) {
      CHECK_MSG(std::find(targets.begin(), targets.end(), target) != targets.end(),
                std::string(image.name) + " has no SASS for sm_" + std::to_string(target));
    }
    CHECK_MSG(std::strstr(image.ptx, "\n.version 7.4\n") != nullptr,
              std::string(image.name) + " has other PTX");
    CHECK_MSG(std::strstr(image.ptx, ".target sm_80") != nullptr, std::string(image.name) + " has other PTX");
  }
#ifdef AIR_HAS_CUDA_KERNELS
  CHECK(!air::cuda::kernel_images().empty());
#endif
}
