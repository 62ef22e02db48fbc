// Caches of one KV head for the attention tests, and calls of a kernel on them. Slots that no case may read hold NaN
// scales, and the pages of unread tokens do not exist.
#ifndef AIR_TEST_NATIVE_ATTENTION_CASES_H_
#define AIR_TEST_NATIVE_ATTENTION_CASES_H_

#include <string>
#include <vector>

#include "test/native/kernel_cases.h"

namespace air_test {

constexpr int32_t kMissingPage = 1 << 24;  // far outside the arena: looking it up crashes

struct AttentionCase {
  const char* reason;
  int dims, page_tokens, heads;
  int64_t begin, end, sink_tokens, window_start;
  float query_size;
};

struct KvTypes {
  AirKvType keys, values;
};
inline std::string describe(const AttentionCase& c, const KvTypes& types, const char* isa) {
  return std::string(isa) + " K " + kv_type_name(types.keys) + " V " + kv_type_name(types.values) + ": " +
         c.reason;
}

inline bool is_read(const AttentionCase& c, int64_t index) {
  return index >= c.begin && index < c.end && (index < c.sink_tokens || index >= c.window_start);
}

// A cache with only the read tokens written, in pages of shuffled order, and the queries against it.
struct Cache {
  const AttentionCase& c;
  AirKvLayout layout;
  int64_t page_stride;
  std::vector<int32_t> table;
  AlignedBytes pages;
  Activations queries, sink_queries;

  Cache(const AttentionCase& attention_case, const KvTypes& types, Random& random)
      : c(attention_case),
        layout(kv_layout(c.dims, c.page_tokens, types.keys, types.values)),
        page_stride(layout.member_bytes * 2),
        table(page_table(c)),
        pages(page_stride * (static_cast<int64_t>(table.size()) + 1), 0xff),
        queries(make_queries(random), c.heads, c.dims),
        sink_queries(make_queries(random), c.heads, c.dims) {
    for (int64_t index = c.begin; index < c.end; ++index) {
      if (!is_read(c, index)) continue;
      const std::vector<float> key = head(random, index);
      const std::vector<float> value = head(random, index + 1);
      air_kernels_reference()->kv_write(&layout, member(index), index % c.page_tokens, key.data(),
                                        value.data());
    }
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  uint8_t* member(int64_t index) {
    return pages.data() + table[static_cast<size_t>(index / c.page_tokens)] * page_stride +
           layout.member_bytes;
  }

  double half_at(int64_t index, int64_t offset) {
    uint16_t half;
    std::memcpy(&half, member(index) + offset, sizeof half);
    return half_value(half);
  }

  int int4_at(int64_t index, int64_t byte, int64_t d) {
    const int pair = member(index)[byte];
    return (d % 32 < 16 ? pair & 15 : pair >> 4) - 8;
  }

  double int4_scale(int64_t index, int64_t section, int64_t d) {
    const int64_t offset = index % c.page_tokens;
    return half_at(index, section + 2 * (offset / 16 * 16 * (c.dims / 32) + d / 32 * 16 + offset % 16));
  }

  double key(int64_t index, int64_t d) {
    const int64_t offset = index % c.page_tokens;
    const int64_t stripe = offset / 16 * 16 * c.dims;
    if (layout.key_type == AIR_KV_INT4) {
      const int64_t byte = stripe / 2 + d / 32 * 256 + d % 16 / 4 * 64 + offset % 16 * 4 + d % 4;
      return int4_at(index, byte, d) * int4_scale(index, layout.key_scales_offset, d);
    }
    if (layout.key_type == AIR_KV_F16) return half_at(index, 2 * (stripe + d * 16 + offset % 16));
    const int q = static_cast<int8_t>(member(index)[stripe + d / 4 * 64 + offset % 16 * 4 + d % 4]);
    return q * half_at(index, layout.key_scales_offset + 2 * offset);
  }

  double value(int64_t index, int64_t d) {
    const int64_t offset = index % c.page_tokens;
    const int64_t at = offset * c.dims + d;
    if (layout.value_type == AIR_KV_INT4) {
      const int64_t byte = layout.values_offset + offset * c.dims / 2 + d / 32 * 16 + d % 16;
      return int4_at(index, byte, d) * int4_scale(index, layout.value_scales_offset, d);
    }
    if (layout.value_type == AIR_KV_F16) return half_at(index, layout.values_offset + 2 * at);
    const int q = static_cast<int8_t>(member(index)[layout.values_offset + at]);
    return q * half_at(index, layout.value_scales_offset + 2 * offset);
  }

  double score(int64_t index, int64_t h) {
    const Activations& q = index < c.sink_tokens ? sink_queries : queries;
    double sum = 0;
    for (int64_t d = 0; d < c.dims; ++d) {
      const double q_d = layout.key_type == AIR_KV_F16 ? double(q.values[static_cast<size_t>(h * c.dims + d)])
                                                       : q.dequantised(h, d);
      sum += q_d * key(index, d);
    }
    return sum;
  }

 private:
  // Pages in descending order from the end of the arena; page 0 is the null page.
  static std::vector<int32_t> page_table(const AttentionCase& c) {
    const int64_t count = (c.end + c.page_tokens - 1) / c.page_tokens;
    std::vector<int32_t> table(static_cast<size_t>(count), kMissingPage);
    for (int64_t index = 0; index < c.end; ++index) {
      const int64_t page = index / c.page_tokens;
      if (is_read(c, index)) table[static_cast<size_t>(page)] = static_cast<int32_t>(count - page);
    }
    return table;
  }

  std::vector<float> make_queries(Random& random) const {
    std::vector<float> q = random_floats(random, int64_t(c.heads) * c.dims);
    for (float& x : q) x *= c.query_size;
    return q;
  }

  // Random heads; every seventh token is all +-1, which quantises to +-127.
  std::vector<float> head(Random& random, int64_t index) const {
    std::vector<float> x = random_floats(random, c.dims);
    if (index % 7 == 3) {
      for (float& value : x) value = value < 0 ? -1.0f : 1.0f;
    }
    return x;
  }
};

struct Result {
  std::vector<float> max, sum, acc;
};

// What one call computes: row r has `heads` queries from first_query[r] on.
struct Rows {
  int heads;
  std::vector<int64_t> first_query, ends, window_starts;

  void add(int64_t query, int64_t end, int64_t window_start) {
    first_query.push_back(query);
    ends.push_back(end);
    window_starts.push_back(window_start);
  }
};

inline Result attend_rows(const AirKernelTable& table, const Cache& cache, const Rows& rows) {
  const size_t queries = rows.ends.size() * static_cast<size_t>(rows.heads);
  Result r = {std::vector<float>(queries, 7.0f), std::vector<float>(queries, 7.0f),
              std::vector<float>(queries * static_cast<size_t>(cache.c.dims), 7.0f)};
  AirAttentionArgs args = {};
  args.layout = &cache.layout;
  args.pages = cache.pages.data() + cache.layout.member_bytes;
  args.page_stride = cache.page_stride;
  args.page_table = cache.table.data();
  args.begin = cache.c.begin;
  args.ends = rows.ends.data();
  args.window_starts = rows.window_starts.data();
  args.prefetch_end = cache.c.end;
  args.sink_tokens = cache.c.sink_tokens;
  args.rows = static_cast<int32_t>(rows.ends.size());
  args.heads = rows.heads;
  args.first_query = rows.first_query.data();
  args.q = cache.queries.values.data();
  args.q_int8 = cache.queries.q.data();
  args.q_scales = cache.queries.scales.data();
  args.q_sums16 = cache.queries.sums16.data();
  if (cache.c.sink_tokens > 0) {
    args.sink_q = cache.sink_queries.values.data();
    args.sink_q_int8 = cache.sink_queries.q.data();
    args.sink_q_scales = cache.sink_queries.scales.data();
    args.sink_q_sums16 = cache.sink_queries.sums16.data();
  }
  args.running_max = r.max.data();
  args.running_sum = r.sum.data();
  args.acc = r.acc.data();
  table.attention(&args);
  return r;
}

// One row: heads [first, first + count) of the cache's queries.
inline Result attend(const AirKernelTable& table, const Cache& cache, int first, int count) {
  return attend_rows(table, cache, {count, {first}, {cache.c.end}, {cache.c.window_start}});
}

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_ATTENTION_CASES_H_
