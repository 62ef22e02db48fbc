// The C ABI between native/core and the kernels of one instruction set: a table of functions.
//
// Every op names its order of floating-point operations ("canonical order"). All ISAs follow it with the same
// roundings (fma where "fma" is written, separate operations elsewhere, no -ffast-math, -ffp-contract=off),
// so that a row's result does not depend on how many rows share a call, nor on the ISA. Kernels never
// allocate, print, throw or block; the caller guarantees shapes and alignment.
#ifndef AIR_KERNELS_H_
#define AIR_KERNELS_H_

#include "air_formats.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  AIR_STORE_SET = 0,  // y  = W x
  AIR_STORE_ADD = 1,  // y += W x   (one addition, after the whole sum)
} AirStore;

typedef struct {
  const AirMatrix* weights;
  const AirActivations* x;  // x->cols == weights->cols
  float* y;                 // [x->rows, y_stride]; only columns < weights->rows are written
  int64_t y_stride;
  int64_t tile_begin, tile_end;  // weight tiles of 16 output rows to compute
  int64_t row_begin, row_end;    // activation rows to compute
  int32_t store;                 // AirStore
} AirMatmulArgs;

typedef enum {
  AIR_ROPE_INTERLEAVED = 0,  // pairs (2 j, 2 j + 1)
  AIR_ROPE_HALF = 1,         // pairs (j, j + dims / 2)
} AirRopePairing;

// The most queries (rows times heads) that one attention call computes; the caller splits larger groups.
#define AIR_ATTENTION_MAX_QUERIES 16
// Cached tokens that share one running-maximum update, counted from cache index 0: blocks are [64 b, 64 b + 64).
#define AIR_ATTENTION_BLOCK 64
// A group whose largest magnitude is below this quantises as if it were all zero (127 / amax stays finite).
#define AIR_QUANTIZE_TINY 1e-30f

// Some rows of one sequence against one KV head, over a range of cache indices: up to 16 queries.
typedef struct {
  const AirKvLayout* layout;
  const uint8_t* pages;       // the group's page 0, at this member's offset
  int64_t page_stride;        // bytes from one page to the next
  const int32_t* page_table;  // pages of the sequence that were not dropped, in order
  // Indices count the entries of the text, the dropped ones included: those are [gap_begin, gap_begin + gap), both
  // multiples of page_tokens, and have no place in the page table.
  int64_t gap_begin, gap;
  // Row r reads the indices [begin, ends[r]) without the gap [sink_tokens, window_starts[r]). begin is a
  // multiple of AIR_ATTENTION_BLOCK. Indices below sink_tokens are scored with the sink queries, the others
  // with q.
  int64_t begin;
  const int64_t* ends;           // [rows], ascending
  const int64_t* window_starts;  // [rows], ascending, none below sink_tokens or inside the gap; all 0 when everything is read
  int64_t sink_tokens;
  int64_t prefetch_end;        // indices below this are worth fetching ahead: the caller reads them next
  int32_t rows, heads;         // rows * heads is 1 .. AIR_ATTENTION_MAX_QUERIES
  const int64_t* first_query;  // [rows] where the row's heads start among the queries below
  // Queries already multiplied by 1/sqrt(head_dim), rotated, zero-padded to D. With integer keys the quantised
  // form is read (groups of 32 along D, as quantize_rows makes it), else the float32 form.
  const float* q;           // [queries, D]
  const int8_t* q_int8;     // [queries, D]
  const float* q_scales;    // [queries, D / 32]
  const int32_t* q_sums16;  // [queries, D / 16]
  const float* sink_q;      // same four for the sink positions; may be null when sink_tokens == 0
  const int8_t* sink_q_int8;
  const float* sink_q_scales;
  const int32_t* sink_q_sums16;
  // Unnormalised partial result over the range.
  float* running_max;  // [rows, heads]     -INFINITY when nothing was read
  float* running_sum;  // [rows, heads]     sum of exp(score - running_max), 0 when nothing was read
  float* acc;          // [rows, heads, D]  sum of exp(score - running_max) * v
} AirAttentionArgs;

typedef struct {
  const char* isa;   // "reference", "avx2", "avxvnni", "avx512vnni", "neon", "neoni8mm"
  AirLayout layout;  // of the integer weights that matmul reads

  // Quantises rows of [rows, cols] float32 as AirActivations says; cols is a multiple of 32.
  // Canonical order: amax over the group (exact), inverse = 127 / amax, q = rint(x * inverse), scale = amax / 127.
  // amax < AIR_QUANTIZE_TINY: scale 0, q 0. A group that holds NaN or infinity: scale NaN, q 0, so that it shows.
  void (*quantize_rows)(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales,
                        int32_t* sums16);

  // y[row, n] (=|+=) sum over k of W[n, k] x[row, k], indexed by AirWeightClass.
  // Canonical order, integer classes: per output, acc = 0; for g = 0 .. cols / 32 - 1 in order
  //     scale_group 32:  acc = fma(float(idot_g), ws_g * xs_g, acc)
  //     scale_group 16:  acc = fma(float(idot_2g), ws_2g * xs_g, acc), then the same with 2g + 1
  //     with mins, then: acc = fma(float(sum of q_x over the group), wm_g * xs_g, acc)
  //   where idot is the exact integer sum of (q_w [- 8]) * q_x.
  // Canonical order, float classes: two chains, acc_p = fma(w[k], x[k], acc_p) over k = p, p + 2, ..;
  //   result = acc_0 + acc_1.
  void (*matmul[AIR_WEIGHT_CLASSES])(const AirMatmulArgs* args);

  // y = x * (1 / sqrt(mean(x^2) + epsilon)) * weight, one row of cols.
  // Canonical order: 16 partial sums of squares, s_l = fma(x, x, s_l) over k = l mod 16 (tail lanes skip);
  //   reduced as a tree s_l += s_{l+8}, +4, +2, +1; then y = (x * inverse) * weight.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t cols, float* y);

  // y = silu(gate) * up, silu(g) = g / (1 + exp(-g)), the multiplication last. exp is the canonical
  // polynomial below.
  void (*silu_mul)(const float* gate, const float* up, int64_t count, float* y);

  // Rotates heads of [heads, head_stride] in place by the angle table of one position; dims beyond
  // rope_dims are left alone. cosines and sines: [rope_dims / 2].
  // Canonical order: a' = fma(a, cos, -(b * sin)), b' = fma(a, sin, b * cos).
  void (*rope)(float* x, int64_t heads, int64_t head_stride, int64_t rope_dims, const float* cosines,
               const float* sines, int32_t pairing);

  // Writes one token's key and value ([D] each, zero-padded by the caller) of one member at `offset`
  // (0 .. page_tokens - 1) of the page whose member bytes start at `member`.
  // A scale beyond +-65504 is clamped to it; one that rounds to zero is +0, and q 0. An INT8 head or INT4 group
  // that holds NaN or infinity: scale NaN, q 0.
  void (*kv_write)(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
                   const float* value);

  // Canonical order, per query. Score of token t:
  //   INT8 keys: s = 0; for each group g of 32 dims in order: s = fma(float(idot_g), q_scale_g, s); s = s * key_scale_t
  //   INT4 keys: s = 0; for each group g of 32 dims in order: s = fma(float(idot_g), q_scale_g * key_scale_{g,t}, s)
  //   F16 keys:  s = fma(q_d, k_d, s) over d in order, from 0
  // Per block of 64 cache indices (unread ones score -INFINITY and weigh exactly 0; a block with none read is
  // skipped): m' = max(m, block scores); correction = exp(m - m') (1 when m is unchanged, 0 when m was
  // -INFINITY); sums and acc are multiplied by it; p_t = exp(s_t - m').
  //   A NaN never becomes the maximum, but its weight is NaN.
  //   running_sum: 16 lanes by cache index mod 16, lane += p_t in order; reduced at the end as rms_norm's tree.
  //   acc_d: for each read t in order, acc_d = fma(p_t * value_scale_t, v_td, acc_d) (F16 values: scale 1;
  //     INT4 values: value_scale_{g,t} of d's group g).
  // exp is the canonical polynomial.
  void (*attention)(const AirAttentionArgs* args);
} AirKernelTable;

// Canonical exp(x), the same roundings on every ISA (after Cephes expf, S. Moshier; relative error < 2e-7):
//   x = min(max(x, -87.3365478515625f), 88.3762626647949f)
//   n = rint(x * 1.44269504088896341f)
//   r = fma(n, -0.693359375f, x);  r = fma(n, 2.12194440e-4f, r)
//   p = 1.9875691500e-4f; p = fma(p, r, 1.3981999507e-3f); p = fma(p, r, 8.3334519073e-3f);
//   p = fma(p, r, 4.1665795894e-2f); p = fma(p, r, 1.6666665459e-1f); p = fma(p, r, 5.0000001201e-1f)
//   y = fma(p, r * r, r) + 1
//   result = y * 2^n (by adding n to the exponent)
// exp(-INFINITY) is never evaluated: unread tokens are weighed 0 explicitly. exp(0) is exactly 1,
// and a NaN comes back as a NaN.

// The caller checks that the CPU can run the ISA before calling any entry.
const AirKernelTable* air_kernels_reference(void);
const AirKernelTable* air_kernels_avx2(void);
const AirKernelTable* air_kernels_avxvnni(void);
const AirKernelTable* air_kernels_avx512vnni(void);
const AirKernelTable* air_kernels_neon(void);
const AirKernelTable* air_kernels_neoni8mm(void);

#ifdef __cplusplus
}
#endif
#endif  // AIR_KERNELS_H_
