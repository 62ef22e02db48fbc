// Single-thread speed of decode attention: one token against a long context, per head shape and cache type,
// with pages that lie in the caches and with pages that come from memory, as those of a real step do.
// usage: attention_bench [isa]
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/kernels/timing.h"

namespace {

using air_bench::time_repeated;
using air_bench::Timing;

constexpr int kPageTokens = 32;
constexpr int64_t kContext = 4096;
constexpr int kRepeats = 41;
// (Layer, KV head) pairs whose pages lie side by side, for the runs from memory: more than any cache holds.
constexpr int64_t kManyMembers = 256;

struct HeadShape {
  int32_t head_dim, heads;
};
constexpr HeadShape kShapes[] = {{64, 8}, {64, 1}, {128, 4}, {128, 8}, {128, 1}};

AirKvLayout make_layout(int32_t dims, AirKvType type) {
  const int64_t elements = int64_t(dims) * kPageTokens;
  const int64_t section = type == AIR_KV_INT4 ? elements / 2 : type == AIR_KV_INT8 ? elements : 2 * elements;
  const int64_t scales = 2 * kPageTokens * (type == AIR_KV_INT4 ? dims / AIR_GROUP : 1);
  AirKvLayout layout = {kPageTokens, dims, type, type, section, 2 * section, 2 * section + scales, 0};
  layout.member_bytes = layout.value_scales_offset + scales;
  return layout;
}

struct Free {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

// Memory in huge pages, as the arena asks for it.
std::unique_ptr<uint8_t, Free> allocate_pages(int64_t bytes) {
  constexpr int64_t kHugePage = int64_t{2} << 20;
  const auto size = static_cast<size_t>((bytes + kHugePage - 1) / kHugePage * kHugePage);
  std::unique_ptr<uint8_t, Free> memory(static_cast<uint8_t*>(std::aligned_alloc(kHugePage, size)));
  (void)madvise(memory.get(), size, MADV_HUGEPAGE);
  // Every binary16 is 0x2c2c, about 0.065: a context of ordinary numbers.
  std::memset(memory.get(), 0x2c, size);
  return memory;
}

// One call; each takes the next of `members`.
Timing measure(const AirKernelTable& table, const HeadShape& shape, const AirKvLayout& layout,
               int64_t members) {
  const size_t elements = size_t(shape.heads) * size_t(shape.head_dim);
  const int64_t page_count = kContext / kPageTokens;
  const int64_t page_bytes = members * layout.member_bytes;
  const auto pages = allocate_pages(page_count * page_bytes);
  std::vector<int32_t> page_table;
  for (int32_t i = 0; i < page_count; ++i) page_table.push_back(i);
  const std::vector<float> q(elements, 0.01f);
  std::vector<int8_t> q_int8(elements);
  std::vector<float> scales(elements / 32);
  std::vector<int32_t> sums16(elements / 16);
  table.quantize_rows(q.data(), shape.heads, shape.head_dim, q_int8.data(), scales.data(), sums16.data());
  std::vector<float> running_max(AIR_ATTENTION_MAX_QUERIES), running_sum(AIR_ATTENTION_MAX_QUERIES),
      acc(elements);
  AirAttentionArgs args = {};
  args.layout = &layout;
  args.page_stride = page_bytes;
  args.page_table = page_table.data();
  const int64_t end = kContext, window_start = 0, first_query = 0;
  args.ends = &end;
  args.window_starts = &window_start;
  args.prefetch_end = kContext;
  args.rows = 1;
  args.first_query = &first_query;
  args.heads = shape.heads;
  args.q = q.data();
  args.q_int8 = q_int8.data();
  args.q_scales = scales.data();
  args.q_sums16 = sums16.data();
  args.running_max = running_max.data();
  args.running_sum = running_sum.data();
  args.acc = acc.data();
  int64_t member = 0;
  return time_repeated(kRepeats, [&] {
    args.pages = pages.get() + member * layout.member_bytes;
    member = (member + 1) % members;
    table.attention(&args);
  });
}

void bench(const AirKernelTable& table, const HeadShape& shape, AirKvType type, int64_t members) {
  const AirKvLayout layout = make_layout(shape.head_dim, type);
  const Timing timing = measure(table, shape, layout, members);
  const double us = timing.median * 1e6;
  const double bytes = static_cast<double>(kContext / kPageTokens * layout.member_bytes);
  const double operations = 4.0 * double(kContext) * shape.heads * shape.head_dim;  // scores and values
  std::printf("%-10s %s %s head_dim %3d heads %2d context %d %7.1f us [%.1f .. %.1f] %5.1f GB/s %6.1f GOPS\n",
              table.isa,
              type == AIR_KV_INT4   ? "int4"
              : type == AIR_KV_INT8 ? "int8"
                                    : "f16 ",
              members == 1 ? "cached" : "memory", shape.head_dim, shape.heads, int(kContext), us,
              timing.p10 * 1e6, timing.p90 * 1e6, bytes / us * 1e-3, operations / us * 1e-3);
}

}  // namespace

int main(int argc, char** argv) {
  air_bench::print_machine();
  for (const AirKernelTable* table : air_bench::tables_to_measure(argc, argv)) {
    for (const AirKvType type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
      for (const HeadShape& shape : kShapes) {
        for (const int64_t members : {int64_t{1}, kManyMembers}) bench(*table, shape, type, members);
      }
    }
  }
  return 0;
}
