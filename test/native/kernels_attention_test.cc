// Attention kernels: the reference against a plain softmax in double precision, every ISA against the reference
// bit for bit. Slots that no case may read hold NaN scales, and the pages of unread tokens do not exist.
#include <algorithm>

#include "test/native/kernel_cases.h"

namespace {

using namespace air_test;

constexpr int32_t kMissingPage = 1 << 24;  // far outside the arena: looking it up crashes

struct AttentionCase {
  const char* reason;
  int dims, page_tokens, heads;
  int64_t begin, end, sink_tokens, window_start;
  float query_size;
};

const AttentionCase kCases[] = {
    {"one token", 64, 16, 4, 0, 1, 0, 0, 1},
    {"nothing in range", 64, 16, 4, 0, 0, 0, 0, 1},
    {"an empty range further on", 64, 16, 2, 128, 128, 0, 0, 1},
    {"everything in the gap", 64, 16, 2, 64, 128, 10, 128, 1},
    {"exactly one block", 64, 16, 8, 0, 64, 0, 0, 1},
    {"ends inside a stripe", 64, 16, 8, 0, 73, 0, 0, 1},
    {"ends inside a block, at a stripe", 64, 32, 4, 0, 96, 0, 0, 1},
    {"head_dim 32, one head", 32, 16, 1, 0, 150, 0, 0, 1},
    {"head_dim 96, three heads", 96, 32, 3, 0, 201, 0, 0, 1},
    {"head_dim 128, sixteen heads", 128, 32, 16, 0, 130, 0, 0, 1},
    {"head_dim 256, seven heads", 256, 16, 7, 0, 99, 0, 0, 1},
    {"pages that straddle blocks", 64, 48, 5, 0, 333, 0, 0, 1},
    {"a page larger than a block", 64, 128, 6, 0, 300, 0, 0, 1},
    {"starts at a later block", 64, 16, 4, 128, 250, 0, 0, 1},
    {"gap across blocks", 64, 16, 4, 0, 405, 4, 300, 1},
    {"gap inside one stripe", 64, 16, 9, 0, 40, 3, 9, 1},
    {"gap inside one block", 96, 32, 2, 0, 60, 5, 50, 1},
    {"gap ends at a block", 64, 16, 12, 0, 200, 16, 128, 1},
    {"sinks reach the second block", 64, 16, 4, 0, 190, 70, 140, 1},
    {"sinks without a gap", 128, 16, 4, 0, 100, 10, 10, 1},
    {"starts inside the gap", 64, 32, 4, 128, 290, 4, 200, 1},
    {"the window lies past the end", 64, 16, 4, 0, 100, 6, 500, 1},
    {"scores far apart", 64, 16, 4, 0, 140, 0, 0, 300},
    {"zero queries", 64, 16, 4, 0, 70, 0, 0, 0},
};

struct KvTypes {
  AirKvType keys, values;
};
const KvTypes kTypes[] = {{AIR_KV_INT8, AIR_KV_INT8},
                          {AIR_KV_F16, AIR_KV_F16},
                          {AIR_KV_INT8, AIR_KV_F16},
                          {AIR_KV_F16, AIR_KV_INT8}};

std::string describe(const AttentionCase& c, const KvTypes& types, const char* isa) {
  return std::string(isa) + (types.keys == AIR_KV_INT8 ? " K int8" : " K f16") +
         (types.values == AIR_KV_INT8 ? " V int8: " : " V f16: ") + c.reason;
}

bool is_read(const AttentionCase& c, int64_t index) {
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

  double key(int64_t index, int64_t d) {
    const int64_t offset = index % c.page_tokens;
    const int64_t stripe = offset / 16 * 16 * c.dims;
    if (layout.key_type == AIR_KV_F16) return half_at(index, 2 * (stripe + d * 16 + offset % 16));
    const int q = static_cast<int8_t>(member(index)[stripe + d / 4 * 64 + offset % 16 * 4 + d % 4]);
    return q * half_at(index, layout.key_scales_offset + 2 * offset);
  }

  double value(int64_t index, int64_t d) {
    const int64_t offset = index % c.page_tokens;
    const int64_t at = offset * c.dims + d;
    if (layout.value_type == AIR_KV_F16) return half_at(index, layout.values_offset + 2 * at);
    const int q = static_cast<int8_t>(member(index)[layout.values_offset + at]);
    return q * half_at(index, layout.value_scales_offset + 2 * offset);
  }

  double score(int64_t index, int64_t h) {
    const Activations& q = index < c.sink_tokens ? sink_queries : queries;
    double sum = 0;
    for (int64_t d = 0; d < c.dims; ++d) {
      const double q_d = layout.key_type == AIR_KV_INT8
                             ? q.dequantised(h, d)
                             : double(q.values[static_cast<size_t>(h * c.dims + d)]);
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

Result attend_rows(const AirKernelTable& table, const Cache& cache, const Rows& rows) {
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
Result attend(const AirKernelTable& table, const Cache& cache, int first, int count) {
  return attend_rows(table, cache, {count, {first}, {cache.c.end}, {cache.c.window_start}});
}

void append(Result& all, const Result& part) {
  all.max.insert(all.max.end(), part.max.begin(), part.max.end());
  all.sum.insert(all.sum.end(), part.sum.begin(), part.sum.end());
  all.acc.insert(all.acc.end(), part.acc.begin(), part.acc.end());
}

bool same_bits(const Result& a, const Result& b) {
  return air_test::same_bits(a.max, b.max) && air_test::same_bits(a.sum, b.sum) &&
         air_test::same_bits(a.acc, b.acc);
}

// Softmax of one head in double precision against the unnormalised partial result.
void check_head(Cache& cache, const Result& result, int h, const std::string& what) {
  const AttentionCase& c = cache.c;
  std::vector<double> exact(static_cast<size_t>(c.dims), 0.0);
  double max_score = -INFINITY, max_magnitude = 0, max_value = 0, sum = 0;
  for (int64_t t = c.begin; t < c.end; ++t) {
    if (!is_read(c, t)) continue;
    max_score = std::max(max_score, cache.score(t, h));
    max_magnitude = std::max(max_magnitude, std::fabs(cache.score(t, h)));
  }
  if (max_score == -INFINITY) {
    CHECK_MSG(result.max[static_cast<size_t>(h)] == -INFINITY && result.sum[static_cast<size_t>(h)] == 0.0f,
              what);
    for (int d = 0; d < c.dims; ++d) CHECK_MSG(result.acc[static_cast<size_t>(h * c.dims + d)] == 0.0f, what);
    return;
  }
  for (int64_t t = c.begin; t < c.end; ++t) {
    if (!is_read(c, t)) continue;
    const double p = std::exp(cache.score(t, h) - max_score);
    sum += p;
    for (int64_t d = 0; d < c.dims; ++d) {
      exact[static_cast<size_t>(d)] += p * cache.value(t, d);
      max_value = std::max(max_value, std::fabs(cache.value(t, d)));
    }
  }
  // An error of a score in float32, relative to its size, is the relative error of the token's weight.
  const double tolerance = 4e-6 * (1 + max_magnitude);
  CHECK_MSG(std::fabs(double(result.max[static_cast<size_t>(h)]) - max_score) <= tolerance, what);
  CHECK_MSG(std::fabs(double(result.sum[static_cast<size_t>(h)]) - sum) <= tolerance * sum, what);
  for (int d = 0; d < c.dims; ++d) {
    const double error =
        std::fabs(double(result.acc[static_cast<size_t>(h * c.dims + d)]) - exact[static_cast<size_t>(d)]);
    CHECK_MSG(error <= tolerance * sum * max_value, what);
  }
}

TEST(the_reference_attention_agrees_with_a_softmax_in_double_precision) {
  for (const AttentionCase& c : kCases) {
    for (const KvTypes& types : kTypes) {
      Random random(17);
      Cache cache(c, types, random);
      const Result result = attend(*air_kernels_reference(), cache, 0, c.heads);
      for (int h = 0; h < c.heads; ++h) check_head(cache, result, h, describe(c, types, "reference"));
    }
  }
}

TEST(every_isa_attends_like_the_reference_bit_for_bit) {
  for (const AirKernelTable* isa : vector_isas()) {
    for (const AttentionCase& c : kCases) {
      for (const KvTypes& types : kTypes) {
        Random random(29);
        const Cache cache(c, types, random);
        const Result expected = attend(*air_kernels_reference(), cache, 0, c.heads);
        CHECK_MSG(same_bits(expected, attend(*isa, cache, 0, c.heads)), describe(c, types, isa->isa));
      }
    }
  }
}

TEST(a_head_does_not_depend_on_the_heads_beside_it) {
  for (const AirKernelTable* isa : vector_isas()) {
    const AttentionCase c = {"heads apart", 64, 16, 16, 0, 203, 5, 70, 1};
    for (const KvTypes& types : kTypes) {
      Random random(31);
      const Cache cache(c, types, random);
      const Result together = attend(*isa, cache, 0, c.heads);
      for (const int count : {1, 2, 3, 4, 7, 8}) {
        Result parts;
        for (int first = 0; first < c.heads; first += count) {
          append(parts, attend(*isa, cache, first, std::min(count, c.heads - first)));
        }
        CHECK_MSG(same_bits(together, parts), describe(c, types, isa->isa));
      }
    }
  }
}

struct RowsCase {
  const char* reason;
  int rows, heads;
  int64_t begin, last_end, sink_tokens, window_start;  // the first row's window
  int64_t slide = 0;                                   // how much later each row's window starts
};

// Every row ends one token after the row before it.
const RowsCase kRowsCases[] = {
    {"rows end inside one block", 4, 3, 0, 150, 0, 0},
    {"rows end in two blocks", 5, 3, 0, 130, 0, 0},
    {"the first rows read nothing of the range", 16, 1, 128, 134, 0, 0},
    {"no row reads anything", 2, 8, 192, 192, 0, 0},
    {"rows of eight heads", 2, 8, 64, 200, 0, 0},
    {"rows of seven heads", 2, 7, 0, 129, 0, 0},
    {"sinks and a gap", 4, 4, 0, 405, 4, 300},
    {"the window starts where rows end", 8, 2, 0, 206, 10, 200},
    {"the first rows end in the gap", 8, 2, 0, 205, 10, 201},
    {"windows start inside one block", 4, 4, 0, 250, 0, 71, 1},
    {"windows start in two blocks", 16, 1, 0, 300, 5, 121, 1},
    {"windows start and end in one block", 5, 3, 0, 60, 3, 20, 1},
    {"windows start where the sinks end", 8, 2, 0, 140, 37, 37, 1},
    {"windows start in the sinks' block and after", 6, 2, 0, 140, 37, 60, 1},
    {"windows of one token", 8, 2, 64, 140, 5, 132, 1},
    {"windows start before the range", 8, 2, 128, 330, 0, 122, 1},
    {"windows start a block apart", 5, 3, 0, 500, 70, 100, 64},
    {"windows start past their ends", 4, 4, 0, 130, 4, 129, 5},
};

// The reference, one row at a time, is what every ISA has to give for the rows together.
TEST(a_row_does_not_depend_on_the_rows_beside_it) {
  std::vector<const AirKernelTable*> tables = vector_isas();
  tables.push_back(air_kernels_reference());
  for (const RowsCase& rows : kRowsCases) {
    const AttentionCase c = {
        rows.reason,       64, 32, rows.rows * rows.heads, rows.begin, rows.last_end, rows.sink_tokens,
        rows.window_start, 1};
    for (const KvTypes& types : kTypes) {
      Random random(37);
      const Cache cache(c, types, random);
      Result apart;
      Rows all = {rows.heads, {}, {}, {}};
      for (int r = 0; r < rows.rows; ++r) {
        Rows one = {rows.heads, {}, {}, {}};
        for (Rows* call : {&all, &one}) {
          // Rows need not lie in order.
          call->add((rows.rows - 1 - r) * rows.heads, rows.last_end - (rows.rows - 1 - r),
                    rows.window_start + r * rows.slide);
        }
        append(apart, attend_rows(*air_kernels_reference(), cache, one));
      }
      for (const AirKernelTable* table : tables) {
        const Result together = attend_rows(*table, cache, all);
        CHECK_MSG(same_bits(apart, together), describe(c, types, table->isa));
      }
    }
  }
}

// A NaN in the cache of a later token must not reach the rows before it, and must show in those that read it.
TEST(a_nan_shows_in_the_rows_that_read_it_and_only_there) {
  std::vector<const AirKernelTable*> tables = vector_isas();
  tables.push_back(air_kernels_reference());
  const AttentionCase c = {"NaN", 64, 32, 8, 0, 70, 0, 0, 1};
  for (const KvTypes& types : kTypes) {
    Random random(41);
    Cache cache(c, types, random);
    const std::vector<float> nans(static_cast<size_t>(c.dims), NAN);
    air_kernels_reference()->kv_write(&cache.layout, cache.member(68), 68 % c.page_tokens, nans.data(),
                                      nans.data());
    for (const AirKernelTable* table : tables) {
      const Result result = attend_rows(*table, cache, {4, {0, 4}, {68, 70}, {0, 0}});
      for (size_t query = 0; query < 8; ++query) {
        CHECK_MSG(std::isnan(result.sum[query]) == (query >= 4), describe(c, types, table->isa));
        CHECK_MSG(std::isnan(result.acc[query * 64]) == (query >= 4), describe(c, types, table->isa));
      }
    }
  }
}

// As at the start of a sequence whose first token is broken.
TEST(a_range_of_nothing_but_nan_is_not_taken_for_an_empty_one) {
  std::vector<const AirKernelTable*> tables = vector_isas();
  tables.push_back(air_kernels_reference());
  const AttentionCase c = {"only NaN", 64, 16, 3, 0, 1, 0, 0, 1};
  for (const KvTypes& types : kTypes) {
    Random random(43);
    Cache cache(c, types, random);
    const std::vector<float> nans(static_cast<size_t>(c.dims), NAN);
    air_kernels_reference()->kv_write(&cache.layout, cache.member(0), 0, nans.data(), nans.data());
    for (const AirKernelTable* table : tables) {
      const Result result = attend(*table, cache, 0, 3);
      for (const float sum : result.sum) CHECK_MSG(std::isnan(sum), describe(c, types, table->isa));
    }
  }
}

}  // namespace
