// Queries, keys and values of a layer: rotation by position (arXiv 2104.09864) and the write into KV pages.
//
//   q' = hadamard(rope(q / sqrt(head_dim)))     binary16 [tokens, query_heads, D], twice when the token reads sinks
//   k' = hadamard(rope(k)), v                   quantised as kernels/reference/kv_write.cc, ordered as kv_layout.h
//
//   a' = fma(a, cos, -(b sin)), b' = fma(a, sin, b cos); D is head_dim rounded up to a multiple of 32, the rest zero
//   launch (tokens, query_heads + 2 kv_heads) blocks of 128 threads, 1024 + 16 bytes of shared memory
#include "kernels/cuda/device.h"
#include "kernels/cuda/kv_layout.h"
#include "kernels/cuda/step_params.h"

namespace air::cuda {
namespace {

constexpr int32_t kThreads = 128;
constexpr uint16_t kNanScale = 0x7e00;  // of values that are not finite, so that it shows
// The dim whose nibble shares a byte with that of dim d is d ^ this (kv_layout.h).
constexpr int32_t kKeyNibblePartner = 2;
constexpr int32_t kValueNibblePartner = 1;

// Loads head_dim values times `scale`, zeros up to D.
AIR_DEVICE void load_head(const RopeWriteParams& p, const float* from, float scale, float* head) {
  sync_threads();
  for (auto d = static_cast<int32_t>(thread_id()); d < p.padded_dim; d += kThreads)
    head[d] = d < p.head_dim ? from[d] * scale : 0.0f;
  sync_threads();
}

// angles: row of the tables of angles
AIR_DEVICE void rotate_head(const RopeWriteParams& p, int64_t angles, float* head) {
  const int32_t pairs = p.rope_dims / 2;
  const float* cosines = p.cosines + angles * pairs;
  const float* sines = p.sines + angles * pairs;
  for (auto j = static_cast<int32_t>(thread_id()); j < pairs; j += kThreads) {
    const int32_t first = p.is_interleaved != 0 ? 2 * j : j;
    const int32_t second = p.is_interleaved != 0 ? 2 * j + 1 : j + pairs;
    const float a = head[first];
    const float b = head[second];
    head[first] = fmaf(a, cosines[j], -(b * sines[j]));
    head[second] = fmaf(a, sines[j], b * cosines[j]);
  }
  sync_threads();
  if (p.rotates_keys == 0) return;
  const int32_t block = p.padded_dim & -p.padded_dim;
  for (int32_t width = 1; width < block; width *= 2) {
    for (auto i = static_cast<int32_t>(thread_id()); i < p.padded_dim / 2; i += kThreads) {
      float* low = head + i / width * 2 * width + i % width;
      const float a = low[0];
      const float b = low[width];
      low[0] = a + b;
      low[width] = a - b;
    }
    sync_threads();
  }
  const float scale = 1.0f / sqrtf(static_cast<float>(block));
  for (auto d = static_cast<int32_t>(thread_id()); d < p.padded_dim; d += kThreads) head[d] *= scale;
  sync_threads();
}

AIR_DEVICE void write_query(const RopeWriteParams& p, int32_t token, int32_t head_index, float* head) {
  const float* from = p.projected + static_cast<int64_t>(token) * p.stride + head_index * p.head_dim;
  int32_t group = -1;
  for (int32_t i = 0; i < p.kv_heads; ++i) {
    const KvMember& member = p.members[i];
    if (head_index >= member.first_query && head_index < member.first_query + member.query_count)
      group = member.group;
  }
  if (group < 0) return;  // nobody reads it
  const int64_t to = (static_cast<int64_t>(token) * p.query_heads + head_index) * p.padded_dim;
  const int32_t passes =
      p.ranges[static_cast<int64_t>(group) * p.range_stride + token].sink_tokens > 0 ? 2 : 1;
  for (int32_t pass = 0; pass < passes; ++pass) {
    load_head(p, from, p.query_scale, head);
    rotate_head(p, static_cast<int64_t>(pass == 0 ? 0 : 1 + group) * p.angle_stride + token, head);
    uint16_t* out = (pass == 0 ? p.queries : p.sink_queries) + to;
    for (auto d = static_cast<int32_t>(thread_id()); d < p.padded_dim; d += kThreads)
      out[d] = float_to_half_saturated(head[d]);
  }
}

// Of all lanes' values: as bits of floats, whose order is that of integers, a NaN above everything.
AIR_DEVICE uint32_t warp_magnitude(uint32_t bits) {
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint32_t other = shuffle_xor(bits, distance);
    bits = other > bits ? other : bits;
  }
  return bits;
}

// The scale of values of which the largest magnitude is that of `bits`: a 127th or an eighth of it.
AIR_DEVICE uint16_t scale_of(uint32_t bits, float steps) {
  if (bits >= 0x7f800000u) return kNanScale;
  const float exact = bits_float(bits) / steps;
  return float_to_half(exact > 65504.0f ? 65504.0f : exact);
}

// Of a head of D values. warps: shared [4]
AIR_DEVICE uint16_t head_scale(const RopeWriteParams& p, const float* head, uint32_t* warps) {
  uint32_t bits = 0;
  for (auto d = static_cast<int32_t>(thread_id()); d < p.padded_dim; d += kThreads) {
    const uint32_t magnitude = float_bits(head[d]) & 0x7fffffffu;
    bits = magnitude > bits ? magnitude : bits;
  }
  bits = warp_magnitude(bits);
  if (lane_id() == 0) warps[warp_id()] = bits;
  sync_threads();
  for (uint32_t warp = 0; warp < kThreads / kWarp; ++warp) bits = warps[warp] > bits ? warps[warp] : bits;
  return scale_of(bits, 127.0f);
}

// Of a group of 32 values, one to a lane. The largest magnitude becomes -8, whatever its sign.
AIR_DEVICE uint16_t group_scale(float x) {
  const uint32_t bits = warp_magnitude(float_bits(x) & 0x7fffffffu);
  const uint16_t half = scale_of(bits, 8.0f);
  const bool is_positive = vote_any(x == bits_float(bits));
  return half == 0 || half == kNanScale || !is_positive ? half : static_cast<uint16_t>(half | 0x8000u);
}

AIR_DEVICE int32_t quantized(float x, uint16_t half, float low, float high) {
  if ((half & 0x7fffu) == 0 || (half & 0x7fffu) > 0x7c00u) return 0;
  float rounded = rintf(x / half_to_float(half));
  rounded = rounded > high ? high : rounded;
  rounded = rounded < low ? low : rounded;
  return static_cast<int32_t>(rounded);
}

// One token's D values of one head into a section of keys or values. scratch: shared [4]
AIR_DEVICE void write_section(const RopeWriteParams& p, bool is_key, uint8_t* member, int32_t offset,
                              const float* head, uint32_t* scratch) {
  const int32_t type = is_key ? p.key_type : p.value_type;
  uint8_t* section = member + (is_key ? 0 : p.values_offset);
  auto* section_scales =
      reinterpret_cast<uint16_t*>(member + (is_key ? p.key_scales_offset : p.value_scales_offset));
  const auto thread = static_cast<int32_t>(thread_id());
  const auto place_of = [&](int32_t d) {
    return is_key ? key_place(type, p.padded_dim, offset, d) : value_place(type, p.padded_dim, offset, d);
  };
  if (type == AIR_KV_F16) {
    for (int32_t d = thread; d < p.padded_dim; d += kThreads)
      *reinterpret_cast<uint16_t*>(section + place_of(d).byte) = float_to_half(head[d]);
    return;
  }
  const int64_t stripe = offset / AIR_STRIPE;
  if (type == AIR_KV_INT8) {
    const uint16_t scale = head_scale(p, head, scratch);
    if (thread == 0) section_scales[offset] = scale;
    for (int32_t d = thread; d < p.padded_dim; d += kThreads)
      section[place_of(d).byte] = static_cast<uint8_t>(quantized(head[d], scale, -127.0f, 127.0f) + 128);
    return;
  }
  auto* scales = reinterpret_cast<uint16_t*>(scratch);
  const int32_t groups = p.padded_dim / AIR_GROUP;
  for (auto g = static_cast<int32_t>(warp_id()); g < groups; g += kThreads / static_cast<int32_t>(kWarp)) {
    const uint16_t scale = group_scale(head[g * AIR_GROUP + static_cast<int32_t>(lane_id())]);
    if (lane_id() != 0) continue;
    scales[g] = scale;
    section_scales[(stripe * groups + g) * AIR_STRIPE + offset % AIR_STRIPE] = scale;
  }
  sync_threads();
  // Both nibbles of a byte are this token's: the thread that has the lower one writes it.
  for (int32_t d = thread; d < p.padded_dim; d += kThreads) {
    const KvPlace place = place_of(d);
    if (place.shift != 0) continue;
    const int32_t other = d ^ (is_key ? kKeyNibblePartner : kValueNibblePartner);
    const int32_t low = quantized(head[d], scales[d / AIR_GROUP], -8.0f, 7.0f) + 8;
    const int32_t high = quantized(head[other], scales[other / AIR_GROUP], -8.0f, 7.0f) + 8;
    section[place.byte] = static_cast<uint8_t>(low | high << 4);
  }
}

AIR_DEVICE void write_entry(const RopeWriteParams& p, int32_t token, int32_t kv_head, bool is_key,
                            float* head, uint32_t* scratch) {
  const KvMember& member = p.members[kv_head];
  if (member.group < 0) return;
  const int32_t slot = p.slots[static_cast<int64_t>(member.group) * p.range_stride + token];
  if (slot < 0) return;
  const float* from = p.projected + static_cast<int64_t>(token) * p.stride +
                      (is_key ? p.key_column : p.value_column) + kv_head * p.head_dim;
  load_head(p, from, 1.0f, head);
  if (is_key) rotate_head(p, token, head);
  uint8_t* page = member.pages + slot / p.page_tokens * member.page_stride;
  write_section(p, is_key, page, slot % p.page_tokens, head, scratch);
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(128) air_step_rope(air::cuda::RopeWriteParams p) {
  using namespace air::cuda;
  const auto token = static_cast<int32_t>(block_x());
  const auto item = static_cast<int32_t>(block_y());
  if (token >= *p.token_count) return;
  auto* head = reinterpret_cast<float*>(shared_memory());
  auto* scratch = reinterpret_cast<uint32_t*>(head + AIR_MAX_HEAD_DIM);
  if (item < p.query_heads) {
    write_query(p, token, item, head);
    return;
  }
  const int32_t entry = item - p.query_heads;
  write_entry(p, token, entry % p.kv_heads, entry < p.kv_heads, head, scratch);
}
