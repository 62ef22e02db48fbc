// How much attention the newest token of each sequence pays to each of its pages (native/core/page_mass.h).
//
//   add_page_mass     for a layer: mass[h, group, s, page] += sum over the page's entries that are read of
//                     exp(q k - m) / sum over all of them, m being the largest
//                     launch (query_heads, sequences) blocks of 128 threads, kPageMassThreads * 4 bytes
//   finish_page_mass  after the last: out[group, s, page] = mass over all h / mass over all h and pages
//                     launch (sequences, groups) blocks of 128 threads, kPageMassThreads * 4 bytes
//
//   queries  binary16 [tokens, query_heads, D]; keys in pages, kv_layout.h; float32 sums of products in order of dims.
//
// A warp has a page at a time and a lane an entry. It reads the keys once more for each query head: steps with page
// mass are rare.
#include "kernels/cuda/page_mass_params.h"

#include "kernels/cuda/attention_fold.h"

namespace air::cuda {
namespace {

// Sum or largest of all threads' values, for all of them; as a tree.
template <bool is_sum>
AIR_DEVICE float reduce_block(float value) {
  auto* values = reinterpret_cast<float*>(shared_memory());
  const uint32_t thread = thread_id();
  sync_threads();
  values[thread] = value;
  sync_threads();
  for (uint32_t width = kPageMassThreads / 2; width > 0; width /= 2) {
    if (thread < width) {
      const float other = values[thread + width];
      values[thread] = is_sum ? values[thread] + other : larger(values[thread], other);
    }
    sync_threads();
  }
  return values[0];
}

// The member of a query head's KV head, by all threads; group -1 if the head is closed or dropped.
AIR_DEVICE KvMember find_member(const AttentionParams& params, int32_t head) {
  KvMember found = {};
  found.group = -1;
  if (!is_open(params, head)) return found;
  for (int32_t i = 0; i < params.kv_heads; ++i) {
    const KvMember member = params.members[i];
    if (head >= member.first_query && head < member.first_query + member.query_count) found = member;
  }
  return found;
}

// s += q times eight neighbouring dims of a key, whose bytes are at `key`. scale: of the group, of INT4 only.
AIR_DEVICE float add_eight(const AttentionParams& params, const uint8_t* key, Words4 q, float scale,
                           float s) {
  const uint32_t q_words[4] = {q.x, q.y, q.z, q.w};
  uint32_t words[4] = {0, 0, 0, 0};
  if (params.key_type == AIR_KV_INT8) {
    const Words2 v = load_words2(key);
    words[0] = v.x;
    words[1] = v.y;
  } else if (params.key_type == AIR_KV_INT4) {
    memcpy(words, key, 4);
  } else {
    const Words4 v = load_words4(key);
    words[0] = v.x;
    words[1] = v.y;
    words[2] = v.z;
    words[3] = v.w;
  }
  float dot = params.key_type == AIR_KV_INT4 ? 0.0f : s;
  AIR_UNROLL
  for (int i = 0; i < 8; ++i) {
    const auto q_half = static_cast<uint16_t>(q_words[i / 2] >> (i % 2 * 16));
    float k;
    if (params.key_type == AIR_KV_INT8) {
      k = static_cast<float>(static_cast<int32_t>(words[i / 4] >> (i % 4 * 8) & 255u) - 128);
    } else if (params.key_type == AIR_KV_INT4) {
      k = static_cast<float>(static_cast<int32_t>(words[0] >> ((i / 2 + i % 2 * 4) * 4) & 15u) - 8);
    } else {
      k = half_to_float(static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16)));
    }
    dot = fmaf(half_to_float(q_half), k, dot);
  }
  return params.key_type == AIR_KV_INT4 ? fmaf(dot, scale, s) : dot;
}

AIR_DEVICE float read_scale(const uint8_t* scales, int32_t index) {
  uint16_t half;
  memcpy(&half, scales + 2 * index, sizeof half);
  return half_to_float(half);
}

// Of the entry at `offset` in the page whose member bytes are at `member`.
AIR_DEVICE float score_entry(const AttentionParams& params, const uint8_t* member, int32_t offset,
                             const uint16_t* q) {
  const uint8_t* scales = member + params.key_scales_offset;
  const int32_t stripe_scales = offset / AIR_STRIPE * kv_stripe_scales(params.key_type, params.padded_dim);
  float s = 0.0f;
  for (int32_t dim = 0; dim < params.padded_dim; dim += 8) {
    const KvPlace place = key_place(params.key_type, params.padded_dim, offset, dim);
    float scale = 1.0f;
    if (params.key_type == AIR_KV_INT4)
      scale = read_scale(scales, stripe_scales + dim / AIR_GROUP * AIR_STRIPE + offset % AIR_STRIPE);
    s = add_eight(params, member + place.byte, load_words4(q + dim), scale, s);
  }
  return params.key_type == AIR_KV_INT8 ? s * read_scale(scales, offset) : s;
}

// One query head over one page, by a warp; the same in all its lanes.
AIR_DEVICE PartialStats score_page(const AttentionParams& params, const KvMember& member,
                                   const CacheRange& range, int32_t page, int64_t query) {
  const int32_t first_entry = page * params.page_tokens;
  const int32_t first = first_entry < range.gap_begin ? first_entry : first_entry + range.gap;
  const uint8_t* bytes = member.pages + params.page_tables[range.page_table + page] * member.page_stride;
  PartialStats stats = {kNothingRead, 0.0f};
  for (auto offset = static_cast<int32_t>(lane_id()); offset < params.page_tokens; offset += 32) {
    const int32_t index = first + offset;
    if (index >= range.end || (index >= range.sink_tokens && index < range.window_start)) continue;
    const uint16_t* q = index < range.sink_tokens ? params.sink_queries : params.queries;
    const float score = score_entry(params, bytes, offset, q + query * params.padded_dim);
    const float largest = larger(stats.largest, score);
    stats.sum = fold(stats.sum, 1.0f, fold_factors(stats.largest, score));
    stats.largest = largest;
  }
  for (uint32_t width = 16; width > 0; width /= 2) {
    const PartialStats other = {shuffle_xor(stats.largest, width), shuffle_xor(stats.sum, width)};
    const FoldFactors factors = fold_factors(stats.largest, other.largest);
    stats = {larger(stats.largest, other.largest), fold(stats.sum, other.sum, factors)};
  }
  return stats;
}

AIR_DEVICE void add_mass(const PageMassParams& params, int32_t head, int32_t sequence) {
  const AttentionParams& attention = params.attention;
  const KvMember member = find_member(attention, head);
  if (member.group < 0) return;
  const int32_t token = params.last_tokens[sequence];
  const CacheRange range =
      attention.ranges[static_cast<int64_t>(member.group) * attention.range_stride + token];
  const int32_t pages = (range.end - range.gap + attention.page_tokens - 1) / attention.page_tokens;
  const int64_t query = static_cast<int64_t>(token) * attention.query_heads + head;
  PartialStats* scores =
      params.scores + (static_cast<int64_t>(head) * params.sequences + sequence) * params.table_pages;
  for (auto page = static_cast<int32_t>(warp_id()); page < pages; page += kPageMassThreads / 32) {
    const PartialStats stats = score_page(attention, member, range, page, query);
    if (lane_id() == 0) scores[page] = stats;
  }
  sync_threads();
  const auto thread = static_cast<int32_t>(thread_id());
  float largest = kNothingRead;
  for (int32_t page = thread; page < pages; page += kPageMassThreads)
    largest = larger(largest, scores[page].largest);
  largest = reduce_block<false>(largest);
  float total = 0.0f;
  for (int32_t page = thread; page < pages; page += kPageMassThreads)
    total = fold(0.0f, scores[page].sum, fold_factors(largest, scores[page].largest)) + total;
  total = reduce_block<true>(total);
  if (total == 0.0f) return;
  float* mass = params.mass +
                ((static_cast<int64_t>(head) * params.groups + member.group) * params.sequences + sequence) *
                    params.table_pages;
  for (int32_t page = thread; page < pages; page += kPageMassThreads)
    mass[page] += fold(0.0f, scores[page].sum, fold_factors(largest, scores[page].largest)) / total;
}

AIR_DEVICE float mass_of(const PageMassParams& params, int64_t cell) {
  const int64_t cells = static_cast<int64_t>(params.groups) * params.sequences * params.table_pages;
  float sum = 0.0f;
  for (int32_t head = 0; head < params.mass_heads; ++head) sum += params.mass[head * cells + cell];
  return sum;
}

AIR_DEVICE void finish_mass(const PageMassParams& params, int32_t sequence, int32_t group) {
  const int64_t first = (static_cast<int64_t>(group) * params.sequences + sequence) * params.table_pages;
  const auto thread = static_cast<int32_t>(thread_id());
  float total = 0.0f;  // each head that read anything gave 1
  for (int32_t page = thread; page < params.table_pages; page += kPageMassThreads)
    total += mass_of(params, first + page);
  total = reduce_block<true>(total);
  for (int32_t page = thread; page < params.table_pages; page += kPageMassThreads)
    params.out[first + page] = total == 0.0f ? 0.0f : mass_of(params, first + page) / total;
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(128) add_page_mass(air::cuda::PageMassParams params) {
  const auto sequence = static_cast<int32_t>(air::cuda::block_y());
  if (sequence >= *params.sequence_count) return;
  air::cuda::add_mass(params, static_cast<int32_t>(air::cuda::block_x()), sequence);
}

AIR_KERNEL(128) finish_page_mass(air::cuda::PageMassParams params) {
  const auto sequence = static_cast<int32_t>(air::cuda::block_x());
  if (sequence >= *params.sequence_count) return;
  air::cuda::finish_mass(params, sequence, static_cast<int32_t>(air::cuda::block_y()));
}
