// Where the bytes of a KV page lie on a device. Sections, their offsets, their sizes and all scales are those of
// AirKvLayout (air_formats.h); within the sections of keys and values the bytes of each stripe of 16 tokens are
// ordered as the lanes of a warp multiply them, so that a copy needs no address arithmetic and a load no shuffle.
//
// Keys and values are [page_tokens / 16] stripes of [D / 32] cells. A cell holds 32 dims of 16 tokens: 32 lanes times
// the registers of two steps of mma.sync m16n8k16 whose B operand they are (device.h has its fragments). With t the
// token within the stripe, d the dim within the cell and lane l:
//
//   keys     B is [dims, tokens]. Two tiles of 8 tokens, i = t / 2 % 2, column c = 2 (t / 4) + t % 2; l = 4 c + d / 8.
//            The scores' accumulators then hold, in lane l, the tokens 4 (l % 4) .. + 3: neighbours.
//              INT8  [l][i][8]          byte d % 8, plus 128
//              INT4  [l][i][4]          nibbles: dim d % 8 = 2 a + x is nibble a + 4 x of the word
//              F16   [i][l][8]          element d % 8
//   values   B is [tokens, dims]. l = 4 (d / 4) + t / 4: a lane has 4 dims of 4 tokens.
//              INT8  [l][4][4]          byte (d % 4, t % 4), plus 128
//              INT4  [l][2][4]          byte (d % 4 / 2, s), the low nibble being the even dim, s = 0, 2, 1, 3 for t % 4
//              F16   [2][l][2][4]       element (d % 4 / 2; d % 2, t % 4)
//
// A byte holds one token only, so tokens may be written concurrently. INT4 nibbles hold q + 8 and bytes q + 128: both
// become the mantissa of a binary16 number by one logic operation.
#ifndef AIR_KERNELS_CUDA_KV_LAYOUT_H_
#define AIR_KERNELS_CUDA_KV_LAYOUT_H_

#include <stdint.h>

#include "kernels/include/air_formats.h"

#ifdef __CUDACC__
#define AIR_ANYWHERE __host__ __device__ inline
#else
#define AIR_ANYWHERE inline
#endif

namespace air::cuda {

constexpr int32_t kCellDims = 32;

// Where one element of a section lies.
struct KvPlace {
  int64_t byte;   // from the section's start
  int32_t shift;  // of the nibble within the byte: 0 or 4; always 0 for the other types
};

// Bytes of 32 dims of 16 tokens.
AIR_ANYWHERE int32_t kv_cell_bytes(int32_t type) {
  return type == AIR_KV_INT8 ? 512 : type == AIR_KV_INT4 ? 256 : 1024;
}

// Bytes of 16 tokens.
AIR_ANYWHERE int32_t kv_stripe_bytes(int32_t type, int32_t head_dim) {
  return head_dim / kCellDims * kv_cell_bytes(type);
}

// Binary16 scales of 16 tokens, neighbouring tokens of a group of dims side by side.
AIR_ANYWHERE int32_t kv_stripe_scales(int32_t type, int32_t head_dim) {
  return type == AIR_KV_INT8 ? AIR_STRIPE : type == AIR_KV_INT4 ? head_dim / AIR_GROUP * AIR_STRIPE : 0;
}

// Of the section of keys; offset is the token's within the page.
AIR_ANYWHERE KvPlace key_place(int32_t type, int32_t head_dim, int64_t offset, int32_t dim) {
  const int32_t t = static_cast<int32_t>(offset % AIR_STRIPE);
  const int32_t d = dim % kCellDims;
  const int32_t tile = t / 2 % 2;
  const int32_t lane = 4 * (2 * (t / 4) + t % 2) + d / 8;
  const int64_t cell = offset / AIR_STRIPE * kv_stripe_bytes(type, head_dim) +
                       static_cast<int64_t>(dim / kCellDims) * kv_cell_bytes(type);
  if (type == AIR_KV_INT8) return {cell + lane * 16 + tile * 8 + d % 8, 0};
  if (type == AIR_KV_F16) return {cell + (tile * 32 + lane) * 16 + d % 8 * 2, 0};
  const int32_t nibble = d % 8 / 2 + 4 * (d % 2);
  return {cell + lane * 8 + tile * 4 + nibble / 2, 4 * (nibble % 2)};
}

// Of the section of values.
AIR_ANYWHERE KvPlace value_place(int32_t type, int32_t head_dim, int64_t offset, int32_t dim) {
  const int32_t t = static_cast<int32_t>(offset % AIR_STRIPE);
  const int32_t d = dim % kCellDims;
  const int32_t lane = 4 * (d / 4) + t / 4;
  const int64_t cell = offset / AIR_STRIPE * kv_stripe_bytes(type, head_dim) +
                       static_cast<int64_t>(dim / kCellDims) * kv_cell_bytes(type);
  if (type == AIR_KV_INT8) return {cell + lane * 16 + d % 4 * 4 + t % 4, 0};
  if (type == AIR_KV_F16) return {cell + (d % 4 / 2 * 32 + lane) * 16 + (d % 2 * 4 + t % 4) * 2, 0};
  const int32_t swapped = t % 4 == 1 ? 2 : t % 4 == 2 ? 1 : t % 4;
  return {cell + lane * 8 + d % 4 / 2 * 4 + swapped, d % 2 * 4};
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_KV_LAYOUT_H_
