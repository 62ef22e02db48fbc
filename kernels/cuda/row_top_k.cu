// The k largest values of each row, in descending order, equals by lower index; NaN counts as -infinity. One block for
// each row; float32 in, 1 <= k <= 1024.
//
// Values become unsigned integers of the same order. Four passes over the row, a byte at a time from the highest, find
// the k-th largest one (radix select); where several equal it, three or four more over their indices find the last that
// is taken. A last pass collects exactly k entries in any order, and a bitonic sort orders them: what comes out depends
// on nothing but the row. launch: launch/row_ops.h
#include "kernels/cuda/device.h"
#include "kernels/cuda/row_params.h"

namespace air::cuda {
namespace {

constexpr uint32_t kBuckets = 256;

// Order of floats as order of integers. NaN is -infinity, -0 is +0.
AIR_DEVICE uint32_t order_of(float value) {
  const uint32_t bits = value != value ? 0xff800000u : value == 0.0f ? 0u : float_bits(value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// Larger values first, then lower indices: as a number, the larger the better.
AIR_DEVICE uint64_t rank_of(float value, int32_t index) {
  return static_cast<uint64_t>(order_of(value)) << 32 | ~static_cast<uint32_t>(index);
}

struct Selection {
  uint64_t prefix;  // the bytes of the k-th best rank that are known, the others 0
  uint32_t wanted;  // the k-th best is the wanted-th best of those with that prefix
  bool is_whole;    // all with that prefix are taken
};

// Finds one more byte, that at `shift`. buckets: shared [kBuckets + 4]
AIR_DEVICE Selection select_byte(const float* row, int32_t cols, const Selection& from, int32_t shift,
                                 uint32_t* buckets) {
  uint32_t* found = buckets + kBuckets;  // the byte, how many are wanted of it, how many have it
  const uint32_t thread = thread_id();
  sync_threads();
  for (uint32_t b = thread; b < kBuckets; b += block_threads()) buckets[b] = 0;
  sync_threads();
  const uint64_t known = shift == 56 ? 0 : ~uint64_t{0} << (shift + 8);
  for (auto i = static_cast<int32_t>(thread); i < cols; i += static_cast<int32_t>(block_threads())) {
    const uint64_t rank = rank_of(row[i], i);
    if ((rank & known) == from.prefix) atomic_add(buckets + (rank >> shift & 0xff), 1);
  }
  sync_threads();
  if (thread == 0) {
    uint32_t better = 0;
    uint32_t byte = kBuckets - 1;
    while (better + buckets[byte] < from.wanted) better += buckets[byte--];
    found[0] = byte;
    found[1] = from.wanted - better;
    found[2] = buckets[byte];
  }
  sync_threads();
  return {from.prefix | static_cast<uint64_t>(found[0]) << shift, found[1], found[1] == found[2]};
}

// Descending by bitonic sort. ranks: shared [size], a power of two
AIR_DEVICE void sort_ranks(uint64_t* ranks, uint32_t size) {
  for (uint32_t width = 2; width <= size; width *= 2) {
    for (uint32_t distance = width / 2; distance > 0; distance /= 2) {
      sync_threads();
      for (uint32_t i = thread_id(); i < size; i += block_threads()) {
        const uint32_t partner = i ^ distance;
        if (partner < i) continue;
        const uint64_t a = ranks[i];
        const uint64_t b = ranks[partner];
        const bool is_descending = (i & width) == 0;
        if (is_descending ? a >= b : a <= b) continue;
        ranks[i] = b;
        ranks[partner] = a;
      }
    }
  }
  sync_threads();
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(1024) air_row_top_k(air::cuda::TopKParams p) {
  using namespace air::cuda;
  const auto index = static_cast<int64_t>(block_x());
  if (index >= *p.row_count) return;
  auto* ranks = reinterpret_cast<uint64_t*>(shared_memory());
  auto* buckets = reinterpret_cast<uint32_t*>(ranks + kMaxTopK);
  uint32_t* taken = buckets + kBuckets + 3;
  const float* row = p.rows + index * p.cols;
  const auto k = static_cast<uint32_t>(p.k);
  if (thread_id() == 0) *taken = 0;
  Selection selection = {0, k, false};
  int32_t shift = 56;
  for (; !selection.is_whole; shift -= 8) selection = select_byte(row, p.cols, selection, shift, buckets);

  uint32_t size = 1;
  while (size < k) size *= 2;
  for (uint32_t i = thread_id(); i < size; i += block_threads()) ranks[i] = 0;  // worse than any
  sync_threads();
  for (auto i = static_cast<int32_t>(thread_id()); i < p.cols; i += static_cast<int32_t>(block_threads())) {
    const uint64_t rank = rank_of(row[i], i);
    // The bytes below the prefix are 0, so what has the prefix is not less.
    if (rank >= selection.prefix) ranks[atomic_add(taken, 1)] = rank;
  }
  sort_ranks(ranks, size);
  for (uint32_t i = thread_id(); i < k; i += block_threads()) {
    const auto id = static_cast<int32_t>(~static_cast<uint32_t>(ranks[i]));
    const float value = row[id];
    p.ids[index * p.k + i] = id;
    p.values[index * p.k + i] = value != value ? bits_float(0xff800000u) : value;
  }
}
