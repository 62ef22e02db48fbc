// air_step_rope against the reference kernels: queries scaled, rotated and rounded; keys and values in pages, converted
// from the device's order of bytes to the CPU's, bit for bit.
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/launch/kv_pages.h"
#include "kernels/include/air_kernels.h"
#include "native/core/hadamard.h"
#include "native/core/half.h"
#include "test/kernels/support/device_array.h"
#include "test/kernels/support/step_kernels.h"
#include "test/native/kernel_cases.h"

using air::cuda::CacheRange;
using air::cuda::KvMember;
using air::cuda::RopeWriteParams;
using air_test::DeviceArray;

namespace {

constexpr int32_t kTokens = 5, kMost = 6;
constexpr int32_t kKvHeads = 3, kQueryHeads = 6;
constexpr int32_t kGroups = 2;
constexpr int32_t kPages = 3;
constexpr int32_t kMembers = 2;  // of each group; the layer at hand has the second
constexpr int32_t kGroupOf[kKvHeads] = {0, -1, 1};
constexpr uint8_t kStale = 0x5a;  // what pages hold before
constexpr uint16_t kUntouched = 0xffff;

struct Case {
  std::string name;
  int32_t head_dim = 64;
  int32_t rope_dims = 64;
  AirKvType keys = AIR_KV_INT8, values = AIR_KV_INT8;
  int32_t page_tokens = 16;
  int32_t pairing = AIR_ROPE_INTERLEAVED;
  bool rotates_keys = false;
};

// One layer's step: inputs, and what the kernel writes.
class RopeStep {
 public:
  explicit RopeStep(const Case& c);
  void spoil();
  void run(air::emulator::Order order = air::emulator::Order::kForward);
  void check() const;

 private:
  void check_queries(bool of_sinks) const;
  void check_pages(int32_t group) const;
  void rotate(float* head, int32_t table, int32_t token) const;
  const float* projected(int32_t token, int32_t column, int32_t head) const {
    return projected_.data() + token * stride_ + column + head * case_.head_dim;
  }
  size_t pairs() const { return static_cast<size_t>(case_.rope_dims / 2); }

  Case case_;
  int32_t dims_;  // padded
  int32_t stride_, key_column_, value_column_;
  AirKvLayout layout_;
  int64_t page_bytes_;
  std::vector<float> projected_;
  std::vector<float> cosines_, sines_;  // [1 + groups, kMost, pairs]
  std::vector<int32_t> slots_;          // [groups, kMost]
  std::vector<CacheRange> ranges_;      // the same
  std::vector<uint16_t> queries_, sink_queries_;
  std::vector<uint8_t> pages_[kGroups];
};

RopeStep::RopeStep(const Case& c) : case_(c), dims_((c.head_dim + 31) / 32 * 32) {
  layout_ = air_test::kv_layout(dims_, c.page_tokens, c.keys, c.values);
  page_bytes_ = kMembers * layout_.member_bytes;
  key_column_ = kQueryHeads * c.head_dim + 3;
  value_column_ = key_column_ + kKvHeads * c.head_dim + 1;
  stride_ = value_column_ + kKvHeads * c.head_dim + 2;
  air_test::Random random(11);
  projected_ = air_test::random_floats(random, kMost * stride_);
  for (float& value : projected_) value *= 4.0f;
  for (size_t i = 0; i < (1 + kGroups) * kMost * pairs(); ++i) {
    const float angle = 3.0f * random.uniform();
    cosines_.push_back(std::cos(angle));
    sines_.push_back(std::sin(angle));
  }
  // Neighbours in a page, the page's last token, another page; one token of group 1 is not written.
  const int32_t page = c.page_tokens;
  slots_ = {page + 3,     page + 4, page + 5, 2 * page - 1, 2 * page,  -7,
            2 * page + 9, -1,       page,     page + 1,     page + 14, -7};
  ranges_.resize(kGroups * kMost);
  for (size_t token = 0; token < kMost; ++token) ranges_[kMost + token].sink_tokens = token == 2 ? 0 : 4;
}

// Entries that hold infinities, NaN, zeros, numbers whose scale is beyond binary16 and below it.
void RopeStep::spoil() {
  const auto head = [&](int32_t token, int32_t column, int32_t kv_head) {
    return projected_.data() + token * stride_ + column + kv_head * case_.head_dim;
  };
  // As binary16, a NaN keeps some of its bits on the CPU and none on a device.
  if (case_.keys != AIR_KV_F16) head(0, key_column_, 0)[5] = std::nanf("");
  head(1, value_column_, 0)[case_.head_dim - 1] = -INFINITY;
  for (int32_t d = 0; d < case_.head_dim; ++d) {
    head(2, key_column_, 0)[d] = 0.0f;
    head(2, value_column_, 0)[d] = 1e-12f;
    head(3, key_column_, 0)[d] *= 1e30f;
    head(3, value_column_, 0)[d] *= -1e9f;
    head(4, value_column_, 0)[d] = d % 2 == 0 ? 8.0f : -8.0f;  // two largest magnitudes
    head(4, value_column_, 2)[d] = -1.0f;
  }
  projected_[7] = 1e9f;  // a query that saturates
}

void RopeStep::run(air::emulator::Order order) {
  DeviceArray<float> projected("projected", projected_);
  DeviceArray<int32_t> token_count("token_count", std::vector<int32_t>{kTokens});
  DeviceArray<float> cosines("cosines", cosines_);
  DeviceArray<float> sines("sines", sines_);
  DeviceArray<int32_t> slots("slots", slots_);
  DeviceArray<CacheRange> ranges("ranges", ranges_);
  const size_t query_count = static_cast<size_t>(kMost * kQueryHeads * dims_);
  DeviceArray<uint16_t> queries("queries", query_count);
  DeviceArray<uint16_t> sink_queries("sink queries", query_count);
  std::unique_ptr<DeviceArray<uint8_t>> pages[kGroups];
  for (auto& group : pages) {
    const std::vector<uint8_t> stale(static_cast<size_t>(kPages * page_bytes_), kStale);
    group = std::make_unique<DeviceArray<uint8_t>>("pages", stale, air_test::WritableArray<uint8_t>());
  }
  std::vector<KvMember> layer;
  for (int32_t i = 0; i < kKvHeads; ++i) {
    const int32_t group = kGroupOf[i];
    uint8_t* member = group < 0 ? nullptr : pages[group]->data() + layout_.member_bytes;
    layer.push_back({member, page_bytes_, group, 2 * i, 2, 0});
  }
  DeviceArray<KvMember> members("members", layer);
  RopeWriteParams p = {};
  p.projected = projected.data();
  p.token_count = token_count.data();
  p.cosines = cosines.data();
  p.sines = sines.data();
  p.slots = slots.data();
  p.ranges = ranges.data();
  p.members = members.data();
  p.queries = queries.data();
  p.sink_queries = sink_queries.data();
  p.stride = stride_;
  p.key_column = key_column_;
  p.value_column = value_column_;
  p.angle_stride = p.range_stride = kMost;
  p.query_heads = kQueryHeads;
  p.kv_heads = kKvHeads;
  p.head_dim = case_.head_dim;
  p.padded_dim = dims_;
  p.rope_dims = case_.rope_dims;
  p.is_interleaved = case_.pairing == AIR_ROPE_INTERLEAVED ? 1 : 0;
  p.rotates_keys = case_.rotates_keys ? 1 : 0;
  p.query_scale = 1.0f / std::sqrt(static_cast<float>(case_.head_dim));
  p.key_type = layout_.key_type;
  p.value_type = layout_.value_type;
  p.page_tokens = layout_.page_tokens;
  p.values_offset = static_cast<int32_t>(layout_.values_offset);
  p.key_scales_offset = static_cast<int32_t>(layout_.key_scales_offset);
  p.value_scales_offset = static_cast<int32_t>(layout_.value_scales_offset);
  air::cuda::LaunchShape shape;
  shape.grid_x = kMost;
  shape.grid_y = kQueryHeads + 2 * kKvHeads;
  shape.threads = 128;
  shape.shared_bytes = AIR_MAX_HEAD_DIM * sizeof(float) + 16;
  air_test::check_launch(LAUNCH_IN_ORDER(order, air_step_rope, shape, p), __FILE__, __LINE__);
  queries_ = queries.download();
  sink_queries_ = sink_queries.download();
  for (int32_t group = 0; group < kGroups; ++group) pages_[group] = pages[group]->download();
}

void RopeStep::rotate(float* head, int32_t table, int32_t token) const {
  const size_t angles = static_cast<size_t>(table * kMost + token) * pairs();
  air_kernels_reference()->rope(head, 1, dims_, case_.rope_dims, cosines_.data() + angles,
                                sines_.data() + angles, case_.pairing);
  if (case_.rotates_keys) air::hadamard_transform(head, dims_);
}

void RopeStep::check_queries(bool of_sinks) const {
  const float scale = 1.0f / std::sqrt(static_cast<float>(case_.head_dim));
  const std::vector<uint16_t>& queries = of_sinks ? sink_queries_ : queries_;
  for (int32_t token = 0; token < kMost; ++token) {
    for (int32_t q = 0; q < kQueryHeads; ++q) {
      const int32_t group = kGroupOf[q / 2];
      bool is_written = token < kTokens && group >= 0;
      if (of_sinks && is_written)
        is_written = ranges_[static_cast<size_t>(group * kMost + token)].sink_tokens > 0;
      std::vector<float> head(static_cast<size_t>(dims_), 0.0f);
      for (int32_t d = 0; d < case_.head_dim; ++d)
        head[static_cast<size_t>(d)] = projected(token, 0, q)[d] * scale;
      if (is_written) rotate(head.data(), of_sinks ? 1 + group : 0, token);
      for (int32_t d = 0; d < dims_; ++d) {
        const float value = std::fmin(std::fmax(head[static_cast<size_t>(d)], -65504.0f), 65504.0f);
        const uint16_t expected = is_written ? air::float_to_half(value) : kUntouched;
        const uint16_t actual = queries[static_cast<size_t>((token * kQueryHeads + q) * dims_ + d)];
        CHECK_MSG(actual == expected, case_.name + (of_sinks ? ": sink query" : ": query") + " of token " +
                                          std::to_string(token) + " head " + std::to_string(q) + " dim " +
                                          std::to_string(d));
      }
    }
  }
}

void RopeStep::check_pages(int32_t group) const {
  const int32_t kv_head = group == 0 ? 0 : 2;
  // What the reference makes of the same pages, in the device's order of bytes.
  std::vector<uint8_t> expected(static_cast<size_t>(kPages * page_bytes_), kStale);
  for (int32_t page = 0; page < kPages; ++page) {
    uint8_t* device_member = expected.data() + page * page_bytes_ + layout_.member_bytes;
    std::vector<uint8_t> member(static_cast<size_t>(layout_.member_bytes), kStale);
    air::cuda::member_from_device(layout_, device_member, member.data());
    for (int32_t token = 0; token < kTokens; ++token) {
      const int32_t slot = slots_[static_cast<size_t>(group * kMost + token)];
      if (slot < 0 || slot / layout_.page_tokens != page) continue;
      std::vector<float> key(static_cast<size_t>(dims_), 0.0f);
      std::vector<float> value = key;
      std::memcpy(key.data(), projected(token, key_column_, kv_head),
                  sizeof(float) * static_cast<size_t>(case_.head_dim));
      std::memcpy(value.data(), projected(token, value_column_, kv_head),
                  sizeof(float) * static_cast<size_t>(case_.head_dim));
      rotate(key.data(), 0, token);
      air_kernels_reference()->kv_write(&layout_, member.data(), slot % layout_.page_tokens, key.data(),
                                        value.data());
    }
    air::cuda::member_to_device(layout_, member.data(), device_member);
  }
  size_t wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) wrong += pages_[group][i] != expected[i] ? 1 : 0;
  CHECK_MSG(wrong == 0, case_.name + ": " + std::to_string(wrong) + " wrong bytes in the pages of group " +
                            std::to_string(group));
}

void RopeStep::check() const {
  check_queries(false);
  check_queries(true);
  for (int32_t group = 0; group < kGroups; ++group) check_pages(group);
}

std::vector<Case> cases() {
  const AirKvType types[] = {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16};
  std::vector<Case> all;
  for (const AirKvType keys : types) {
    for (const AirKvType values : types) {
      Case c;
      c.name = "keys " + std::to_string(keys) + ", values " + std::to_string(values);
      c.keys = keys;
      c.values = values;
      all.push_back(c);
    }
  }
  all.push_back({"padded, rotated in part", 80, 48, AIR_KV_INT4, AIR_KV_INT8, 32, AIR_ROPE_HALF, false});
  all.push_back({"Hadamard of 32 of 96", 96, 96, AIR_KV_INT4, AIR_KV_INT4, 16, AIR_ROPE_HALF, true});
  all.push_back({"largest heads", 256, 128, AIR_KV_INT8, AIR_KV_F16, 16, AIR_ROPE_INTERLEAVED, true});
  all.push_back({"one pair", 32, 2, AIR_KV_F16, AIR_KV_INT4, 64, AIR_ROPE_HALF, false});
  return all;
}

}  // namespace

TEST(queries_and_pages_are_those_of_the_reference) {
  for (const Case& c : cases()) {
    RopeStep step(c);
    step.run();
    step.check();
  }
}

TEST(entries_that_are_hard_to_quantise_are_those_of_the_reference) {
  for (const AirKvType type : {AIR_KV_INT8, AIR_KV_INT4, AIR_KV_F16}) {
    Case c;
    c.name = "spoilt, type " + std::to_string(type);
    c.keys = c.values = type;
    RopeStep step(c);
    step.spoil();
    step.run(air::emulator::Order::kShuffled);
    step.check();
  }
}
