// One case of cuda_attention_bench: its pages and step in the device's memory, timed and checked.
#ifndef AIR_BENCH_KERNELS_CUDA_ATTENTION_CASE_H_
#define AIR_BENCH_KERNELS_CUDA_ATTENTION_CASE_H_

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "bench/kernels/cuda_bench.h"
#include "kernels/cuda/kv_layout.h"
#include "kernels/cuda/launch/attention.h"
#include "native/core/half.h"
#include "test/native/kernel_cases.h"

namespace air_bench {

using air::cuda::AttentionParams;
using air::cuda::AttentionShape;
using air::cuda::CacheRange;
using air::cuda::DeviceBuffer;
using air::cuda::KvMember;

constexpr int64_t kMinBytes = int64_t{512} << 20;
constexpr int32_t kPageTokens = 32;
constexpr int kChecked = 6;  // heads of rows of each case

struct Case {
  const char* name;
  int32_t kv_heads, heads_per_kv, head_dim;
  AirKvType type;
  int32_t sequences, rows, depth;  // rows of each sequence, the newest of `depth` entries
};
struct Result {
  const Case* which;
  const char* kernel;
  int32_t split_lanes;
  double micros, gbps, tflops, bandwidth_fraction, ceiling_fraction, worst_error;
};

template <typename T>
T* pointer(const DeviceBuffer& buffer) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(buffer.address()));
}

// One case's step in the device's memory.
class AttentionCase {
 public:
  AttentionCase(CudaBench& bench, const Case& which);
  Result measure(const CudaCeilings& ceilings);

 private:
  void fill_pages();
  void upload_step();
  AttentionParams params_of(int64_t layer) const;
  double element(bool is_key, int32_t sequence, int32_t kv_head, int32_t index, int32_t dim) const;
  double worst_error();
  template <typename T>
  void place(DeviceBuffer* buffer, const std::vector<T>& values, const char* what) {
    require(buffer->allocate(bench_.context(), static_cast<int64_t>(values.size() * sizeof(T)), what));
    bench_.upload(buffer->address(), values.data(), static_cast<int64_t>(values.size() * sizeof(T)));
  }

  CudaBench& bench_;
  const Case c_;
  const int32_t rows_, query_heads_, pages_;  // pages of all sequences
  const AirKvLayout layout_;
  int64_t layers_ = 1;
  AttentionShape shape_;
  air::cuda::AttentionProblem problem_;
  int32_t tile_count_ = 0;
  std::vector<uint8_t> host_pages_;  // [pages, kv_heads] members of one layer; all layers have the same
  std::vector<uint16_t> queries_;
  DeviceBuffer page_memory_, query_memory_, attended_, tiles_, counts_, row_tokens_, ranges_, tables_,
      members_, partials_, stats_;
};

inline AttentionCase::AttentionCase(CudaBench& bench, const Case& which)
    : bench_(bench),
      c_(which),
      rows_(which.sequences * which.rows),
      query_heads_(which.kv_heads * which.heads_per_kv),
      pages_(which.sequences * ((which.depth + kPageTokens - 1) / kPageTokens)),
      layout_(air_test::kv_layout(which.head_dim, kPageTokens, which.type, which.type)) {
  const int64_t layer_bytes = int64_t{pages_} * c_.kv_heads * layout_.member_bytes;
  layers_ = bench.is_trial() ? 2 : (kMinBytes + layer_bytes - 1) / layer_bytes;
  problem_.rows = rows_;
  problem_.rows_per_sequence = c_.rows;
  problem_.sequences = c_.sequences;
  problem_.kv_heads = c_.kv_heads;
  problem_.heads_per_kv = c_.heads_per_kv;
  problem_.query_heads = query_heads_;
  problem_.padded_dim = c_.head_dim;
  problem_.key_type = problem_.value_type = c_.type;
  problem_.cached_tokens = c_.depth;
  air::cuda::AttentionDevice device;
  device.multiprocessors = bench.device().multiprocessors;
  device.shared_per_block = bench.device().shared_bytes;
  device.shared_per_multiprocessor = bench.device().shared_bytes_per_multiprocessor;
  shape_ = choose_attention(problem_, device);
  fill_pages();
  upload_step();
}

// Random bytes, and scales and halves of 2^-8 .. 2^-6.
inline void AttentionCase::fill_pages() {
  std::mt19937 random(3);
  const int64_t bytes = layout_.member_bytes;
  host_pages_.resize(static_cast<size_t>(int64_t{pages_} * c_.kv_heads * bytes));
  for (size_t at = 0; at < host_pages_.size(); at += 2) {
    const auto offset = static_cast<int64_t>(at) % bytes;
    const auto bits = static_cast<uint32_t>(random());
    const bool is_half = c_.type == AIR_KV_F16 || offset >= layout_.key_scales_offset;
    const uint32_t sign = c_.type == AIR_KV_F16 ? bits & 0x8000 : 0;
    const auto word = static_cast<uint16_t>(is_half ? 0x1c00 | (bits & 0x7ff) | sign : bits);
    std::memcpy(host_pages_.data() + at, &word, sizeof word);
  }
  const int64_t page = c_.kv_heads * bytes;  // of one layer
  require(page_memory_.allocate(bench_.context(), layers_ * pages_ * page, "KV pages"));
  for (int64_t p = 0; p < pages_; ++p) {
    for (int64_t layer = 0; layer < layers_; ++layer)
      bench_.upload(page_memory_.address() + static_cast<uint64_t>((p * layers_ + layer) * page),
                    host_pages_.data() + p * page, page);
  }
}

inline void AttentionCase::upload_step() {
  std::mt19937 random(4);
  queries_.resize(static_cast<size_t>(int64_t{rows_} * query_heads_ * c_.head_dim));
  for (uint16_t& q : queries_)
    q = air::float_to_half((static_cast<float>(random() % 2001) * 1e-3F - 1.0F) * 0.3F);
  place(&query_memory_, queries_, "queries");
  std::vector<int32_t> sequence_of, tokens, table;
  std::vector<CacheRange> ranges;
  const int32_t table_pages = pages_ / c_.sequences;
  for (int32_t row = 0; row < rows_; ++row) {
    sequence_of.push_back(row / c_.rows);
    tokens.push_back(row);
    ranges.push_back({row / c_.rows * table_pages, 0, 0, c_.depth - c_.rows + row % c_.rows + 1, 0, 0, 0, 0});
  }
  for (int32_t page = 0; page < pages_; ++page) table.push_back((page * 7 + 3) % pages_);
  std::vector<air::cuda::AttentionTile> tiles(sequence_of.size());
  tile_count_ = make_attention_tiles(sequence_of.data(), rows_, shape_.tile_rows, tiles.data());
  std::vector<KvMember> members;
  for (int64_t layer = 0; layer < layers_; ++layer) {
    for (int32_t head = 0; head < c_.kv_heads; ++head)
      members.push_back({pointer<uint8_t>(page_memory_) + (layer * c_.kv_heads + head) * layout_.member_bytes,
                         layers_ * c_.kv_heads * layout_.member_bytes, 0, head * c_.heads_per_kv,
                         c_.heads_per_kv, 0});
  }
  place(&tiles_, tiles, "tiles");
  place(&counts_, std::vector<int32_t>{tile_count_, rows_}, "counts");
  place(&row_tokens_, tokens, "row tokens");
  place(&ranges_, ranges, "ranges");
  place(&tables_, table, "page tables");
  place(&members_, members, "members");
  require(attended_.allocate(bench_.context(), int64_t{rows_} * query_heads_ * c_.head_dim * 2, "attended"));
  require(partials_.allocate(bench_.context(), std::max<int64_t>(shape_.partial_bytes, 16), "partials"));
  require(stats_.allocate(bench_.context(), std::max<int64_t>(shape_.stats_bytes, 16), "stats"));
}

inline AttentionParams AttentionCase::params_of(int64_t layer) const {
  AttentionParams p = {};
  p.queries = pointer<const uint16_t>(query_memory_);
  p.attended = pointer<uint16_t>(attended_);
  p.tiles = pointer<const air::cuda::AttentionTile>(tiles_);
  p.tile_count = pointer<const int32_t>(counts_);
  p.row_count = p.tile_count + 1;
  p.row_tokens = pointer<const int32_t>(row_tokens_);
  p.ranges = pointer<const CacheRange>(ranges_);
  p.page_tables = pointer<const int32_t>(tables_);
  p.members = pointer<const KvMember>(members_) + layer * c_.kv_heads;
  p.kv_heads = c_.kv_heads;
  p.query_heads = query_heads_;
  p.range_stride = rows_;
  p.head_dim = p.padded_dim = c_.head_dim;
  p.key_type = p.value_type = c_.type;
  p.page_tokens = kPageTokens;
  p.values_offset = static_cast<int32_t>(layout_.values_offset);
  p.key_scales_offset = static_cast<int32_t>(layout_.key_scales_offset);
  p.value_scales_offset = static_cast<int32_t>(layout_.value_scales_offset);
  p.partials = pointer<float>(partials_);
  p.stats = pointer<air::cuda::PartialStats>(stats_);
  apply_shape(shape_, problem_, &p);
  return p;
}

inline Result AttentionCase::measure(const CudaCeilings& ceilings) {
  const int64_t launches = c_.rows > 16 ? std::min<int64_t>(layers_, 8) : layers_;
  const double seconds = bench_.time([&]() -> air::Status {
    for (int64_t layer = 0; layer < launches; ++layer) {
      const AttentionParams p = params_of(layer);
      AIR_RETURN_IF_ERROR(bench_.launcher().launch(shape_.kernel, shape_.launch, p));
      if (shape_.split_lanes > 0)
        AIR_RETURN_IF_ERROR(bench_.launcher().launch("merge_attention", shape_.merge, p));
    }
    return {};
  }) / static_cast<double>(launches);
  const double token_bytes = static_cast<double>(layout_.member_bytes) / kPageTokens;
  const double gbps = 1e-9 * token_bytes * c_.depth * c_.sequences * c_.kv_heads / seconds;
  const double keys = c_.depth - 0.5 * (c_.rows - 1);  // of a row, in the mean
  const double tflops = 4e-12 * c_.head_dim * query_heads_ * rows_ * keys / seconds;
  return {&c_,          shape_.kernel, shape_.split_lanes,        seconds * 1e6,
          gbps,         tflops,        gbps / ceilings.read_gbps, tflops / ceilings.matrix_tflops,
          worst_error()};
}

inline double AttentionCase::element(bool is_key, int32_t sequence, int32_t kv_head, int32_t index,
                                     int32_t dim) const {
  const int32_t table_pages = pages_ / c_.sequences;
  const int64_t page = ((sequence * table_pages + index / kPageTokens) * 7 + 3) % pages_;
  const uint8_t* member = host_pages_.data() + (page * c_.kv_heads + kv_head) * layout_.member_bytes;
  const int32_t offset = index % kPageTokens;
  const auto half = [&](int64_t at) {
    uint16_t bits;
    std::memcpy(&bits, member + at, sizeof bits);
    return static_cast<double>(air::half_to_float(bits));
  };
  const air::cuda::KvPlace place = is_key ? air::cuda::key_place(c_.type, c_.head_dim, offset, dim)
                                          : air::cuda::value_place(c_.type, c_.head_dim, offset, dim);
  const int64_t at = place.byte + (is_key ? 0 : layout_.values_offset);
  const int64_t scales = is_key ? layout_.key_scales_offset : layout_.value_scales_offset;
  if (c_.type == AIR_KV_F16) return half(at);
  if (c_.type == AIR_KV_INT8) return (member[at] - 128) * half(scales + 2 * offset);
  const int32_t lane = offset % AIR_STRIPE;
  return ((member[at] >> place.shift & 15) - 8) *
         half(scales +
              2 * ((offset - lane) * (c_.head_dim / AIR_GROUP) + dim / AIR_GROUP * AIR_STRIPE + lane));
}

// Of some heads of some rows, relative to the sum of |weight * value|.
inline double AttentionCase::worst_error() {
  std::vector<uint16_t> attended(queries_.size());
  bench_.download(attended.data(), attended_.address(), static_cast<int64_t>(attended.size() * 2));
  double worst = 0;
  for (int i = 0; i < kChecked; ++i) {
    const int32_t row = (rows_ - 1) * i / (kChecked - 1);
    const int32_t head = i * 5 % query_heads_;
    const int32_t kv_head = head / c_.heads_per_kv;
    const size_t at = static_cast<size_t>(row * query_heads_ + head) * static_cast<size_t>(c_.head_dim);
    const int32_t end = c_.depth - c_.rows + row % c_.rows + 1;
    double sum = 0;
    std::vector<double> value(static_cast<size_t>(c_.head_dim)), size = value;
    for (int32_t index = 0; index < end; ++index) {
      double score = 0;
      for (int32_t d = 0; d < c_.head_dim; ++d)
        score += static_cast<double>(air::half_to_float(queries_[at + static_cast<size_t>(d)])) *
                 element(true, row / c_.rows, kv_head, index, d);
      const double weight = std::exp(score);
      sum += weight;
      for (int32_t d = 0; d < c_.head_dim; ++d) {
        const double v = weight * element(false, row / c_.rows, kv_head, index, d);
        value[static_cast<size_t>(d)] += v;
        size[static_cast<size_t>(d)] += std::fabs(v);
      }
    }
    for (size_t d = 0; d < value.size(); ++d) {
      const double actual = static_cast<double>(air::half_to_float(attended[at + d]));
      if (std::isnan(actual)) return INFINITY;
      worst = std::fmax(worst, std::fabs(actual - value[d] / sum) / (size[d] / sum));
    }
  }
  return worst;
}

}  // namespace air_bench

#endif  // AIR_BENCH_KERNELS_CUDA_ATTENTION_CASE_H_
