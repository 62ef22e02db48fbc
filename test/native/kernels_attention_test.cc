// Attention kernels: the reference against a plain softmax in double precision, every ISA against the reference
// bit for bit.
#include <algorithm>

#include "test/native/attention_cases.h"

namespace {

using namespace air_test;

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

const KvTypes kTypes[] = {{AIR_KV_INT8, AIR_KV_INT8}, {AIR_KV_F16, AIR_KV_F16},   {AIR_KV_INT8, AIR_KV_F16},
                          {AIR_KV_F16, AIR_KV_INT8},  {AIR_KV_INT4, AIR_KV_INT4}, {AIR_KV_INT4, AIR_KV_INT8},
                          {AIR_KV_INT8, AIR_KV_INT4}, {AIR_KV_INT4, AIR_KV_F16},  {AIR_KV_F16, AIR_KV_INT4}};

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
