#include "kernels/cuda/launch/kv_pages.h"

#include <string.h>

#include "kernels/cuda/kv_layout.h"

namespace air::cuda {
namespace {

// Where the CPU's kernels have an element (air_formats.h).
KvPlace host_key_place(int32_t type, int32_t head_dim, int64_t offset, int32_t dim) {
  const int64_t lane = offset % AIR_STRIPE;
  const int64_t stripe = (offset - lane) * head_dim;  // in elements
  if (type == AIR_KV_INT8) return {stripe + dim / 4 * 64 + lane * 4 + dim % 4, 0};
  if (type == AIR_KV_F16) return {2 * (stripe + static_cast<int64_t>(dim) * AIR_STRIPE + lane), 0};
  const int32_t b = dim % 16;
  return {stripe / 2 + dim / AIR_GROUP * 256 + b / 4 * 64 + lane * 4 + b % 4, dim % AIR_GROUP / 16 * 4};
}

KvPlace host_value_place(int32_t type, int32_t head_dim, int64_t offset, int32_t dim) {
  const int64_t row = offset * head_dim;
  if (type == AIR_KV_INT8) return {row + dim, 0};
  if (type == AIR_KV_F16) return {2 * (row + dim), 0};
  return {row / 2 + dim / AIR_GROUP * 16 + dim % 16, dim % AIR_GROUP / 16 * 4};
}

using Placer = KvPlace (*)(int32_t type, int32_t head_dim, int64_t offset, int32_t dim);

// Copies every element of a section from where one layout has it to where the other does. `to` is zero. Bytes of INT8
// change their offset of 128 by the flip of their highest bit.
void copy_section(int32_t type, const AirKvLayout& layout, Placer place_from, const uint8_t* from,
                  Placer place_to, uint8_t* to) {
  const uint8_t flip = type == AIR_KV_INT8 ? 0x80 : 0;
  for (int64_t offset = 0; offset < layout.page_tokens; ++offset) {
    for (int32_t dim = 0; dim < layout.head_dim; ++dim) {
      const KvPlace source = place_from(type, layout.head_dim, offset, dim);
      const KvPlace target = place_to(type, layout.head_dim, offset, dim);
      if (type == AIR_KV_F16) {
        memcpy(to + target.byte, from + source.byte, 2);
      } else if (type == AIR_KV_INT8) {
        to[target.byte] = from[source.byte] ^ flip;
      } else {
        const int32_t nibble = (from[source.byte] >> source.shift) & 15;
        to[target.byte] = static_cast<uint8_t>(to[target.byte] | nibble << target.shift);
      }
    }
  }
}

// The scales and what is left of the member are the same bytes in both layouts.
void copy_scales(const AirKvLayout& layout, const uint8_t* from, uint8_t* to) {
  memset(to, 0, static_cast<size_t>(layout.key_scales_offset));
  memcpy(to + layout.key_scales_offset, from + layout.key_scales_offset,
         static_cast<size_t>(layout.member_bytes - layout.key_scales_offset));
}

}  // namespace

void member_to_device(const AirKvLayout& layout, const uint8_t* member, uint8_t* device_member) {
  copy_scales(layout, member, device_member);
  copy_section(layout.key_type, layout, host_key_place, member, key_place, device_member);
  copy_section(layout.value_type, layout, host_value_place, member + layout.values_offset, value_place,
               device_member + layout.values_offset);
}

void member_from_device(const AirKvLayout& layout, const uint8_t* device_member, uint8_t* member) {
  copy_scales(layout, device_member, member);
  copy_section(layout.key_type, layout, key_place, device_member, host_key_place, member);
  copy_section(layout.value_type, layout, value_place, device_member + layout.values_offset, host_value_place,
               member + layout.values_offset);
}

}  // namespace air::cuda
