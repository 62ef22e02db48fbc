// The wrappers of device.h for nvcc. test/kernels/emulator/device_emulator.h declares the same names.
#ifndef AIR_KERNELS_CUDA_DEVICE_GPU_H_
#define AIR_KERNELS_CUDA_DEVICE_GPU_H_

#include <stdint.h>

// A kernel of at most max_threads threads per block.
#define AIR_KERNEL(max_threads) extern "C" __global__ void __launch_bounds__(max_threads)
// The same, and at least min_blocks blocks share a multiprocessor (limits the registers).
#define AIR_KERNEL_RESIDENT(max_threads, min_blocks) \
  extern "C" __global__ void __launch_bounds__(max_threads, min_blocks)
#define AIR_DEVICE static __device__ __forceinline__
#define AIR_UNROLL _Pragma("unroll")
#define AIR_NO_UNROLL _Pragma("unroll 1")
#define AIR_PRAGMA(text) _Pragma(#text)
#define AIR_UNROLL_BY(count) AIR_PRAGMA(unroll count)
// A table that every thread reads: AIR_CONSTANT float kTable[4] = {..};
#define AIR_CONSTANT static __device__ const

namespace air::cuda {

// --- indices: blocks have one dimension, grids up to three ------------------------------------------------
AIR_DEVICE uint32_t thread_id() { return threadIdx.x; }
AIR_DEVICE uint32_t block_threads() { return blockDim.x; }
AIR_DEVICE uint32_t block_x() { return blockIdx.x; }
AIR_DEVICE uint32_t block_y() { return blockIdx.y; }
AIR_DEVICE uint32_t block_z() { return blockIdx.z; }
AIR_DEVICE uint32_t grid_x() { return gridDim.x; }
AIR_DEVICE uint32_t grid_y() { return gridDim.y; }
AIR_DEVICE uint32_t grid_z() { return gridDim.z; }

// --- shared memory ------------------------------------------------------------------------------------------
// The block's dynamic shared memory, 16-byte aligned; its contents are undefined at the start.
AIR_DEVICE uint8_t* shared_memory() {
  extern __shared__ __align__(128) uint8_t air_shared_bytes[];
  return air_shared_bytes;
}

AIR_DEVICE uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// --- synchronisation ----------------------------------------------------------------------------------------
// All threads of the block; orders shared and global memory among them.
AIR_DEVICE void sync_threads() { __syncthreads(); }

// The lanes of mask, of which the caller is one; orders memory among them.
AIR_DEVICE void sync_warp(uint32_t mask = 0xffffffffu) { __syncwarp(mask); }

// Makes the thread's earlier writes visible to the whole device before its later ones.
AIR_DEVICE void thread_fence() { __threadfence(); }

// Returns the old value.
AIR_DEVICE uint32_t atomic_add(uint32_t* address, uint32_t value) { return atomicAdd(address, value); }

// --- shuffles and votes: every lane of mask takes part; these order no memory -------------------------------
template <typename T>
AIR_DEVICE T shuffle_xor(T value, uint32_t lane_mask, uint32_t mask = 0xffffffffu) {
  return __shfl_xor_sync(mask, value, static_cast<int>(lane_mask));
}
template <typename T>
AIR_DEVICE T shuffle(T value, uint32_t source_lane, uint32_t mask = 0xffffffffu) {
  return __shfl_sync(mask, value, static_cast<int>(source_lane));
}
// From lane + delta; lanes without such a lane keep their own value.
template <typename T>
AIR_DEVICE T shuffle_down(T value, uint32_t delta, uint32_t mask = 0xffffffffu) {
  return __shfl_down_sync(mask, value, delta);
}
// From lane - delta; lanes without such a lane keep their own value.
template <typename T>
AIR_DEVICE T shuffle_up(T value, uint32_t delta, uint32_t mask = 0xffffffffu) {
  return __shfl_up_sync(mask, value, delta);
}
// Bit l: the predicate of lane l.
AIR_DEVICE uint32_t vote_ballot(bool predicate, uint32_t mask = 0xffffffffu) {
  return __ballot_sync(mask, predicate);
}
AIR_DEVICE bool vote_any(bool predicate, uint32_t mask = 0xffffffffu) {
  return __any_sync(mask, predicate) != 0;
}
AIR_DEVICE bool vote_all(bool predicate, uint32_t mask = 0xffffffffu) {
  return __all_sync(mask, predicate) != 0;
}

// --- vector loads and stores: the address is a multiple of the size ------------------------------------------
struct alignas(8) Words2 {
  uint32_t x, y;
};
struct alignas(16) Words4 {
  uint32_t x, y, z, w;
};

AIR_DEVICE Words2 load_words2(const void* address) {
  const uint2 v = *static_cast<const uint2*>(address);
  return {v.x, v.y};
}
AIR_DEVICE Words4 load_words4(const void* address) {
  const uint4 v = *static_cast<const uint4*>(address);
  return {v.x, v.y, v.z, v.w};
}
AIR_DEVICE void store_words2(void* address, Words2 v) {
  *static_cast<uint2*>(address) = make_uint2(v.x, v.y);
}
AIR_DEVICE void store_words4(void* address, Words4 v) {
  *static_cast<uint4*>(address) = make_uint4(v.x, v.y, v.z, v.w);
}
// Of global memory that nothing writes during the launch and that is read once: past the L1 cache.
AIR_DEVICE Words4 load_words4_once(const void* address) {
  Words4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "l"(__cvta_generic_to_global(address)));
  return v;
}

// --- cp.async: global to shared without registers; both addresses are multiples of the size ------------------
AIR_DEVICE void cp_async16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global))
               : "memory");
}
// bytes: 0 .. 16 bytes are read, the others of the 16 are zero. The address must be valid even with 0.
AIR_DEVICE void cp_async16_zero_fill(void* shared, const void* global, uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
// Closes the thread's group of copies.
AIR_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most `pending` of the thread's latest groups are under way. Other threads see the data after a barrier.
template <int pending>
AIR_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// --- matrix instructions: all 32 lanes take part --------------------------------------------------------------
// Four 8x8 matrices of 16-bit elements: lanes 8 i .. 8 i + 7 give the addresses of the rows of matrix i (16 bytes each,
// 16-byte aligned). out[i] of lane l holds the elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of matrix i.
AIR_DEVICE void ldmatrix_x4(uint32_t (&out)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(shared_row))
               : "memory");
}
// The same of the transposed matrices: out[i] holds the elements l / 4 of the rows 2 (l % 4) and 2 (l % 4) + 1.
AIR_DEVICE void ldmatrix_x4_trans(uint32_t (&out)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(shared_row))
               : "memory");
}
// Two matrices: lanes 0 .. 15 give the addresses.
AIR_DEVICE void ldmatrix_x2(uint32_t (&out)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(out[0]), "=r"(out[1])
               : "r"(shared_address(shared_row))
               : "memory");
}
AIR_DEVICE void ldmatrix_x2_trans(uint32_t (&out)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(out[0]), "=r"(out[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

// d += a b, a [16, 16] and b [16, 8] binary16, d [16, 8] float32. With g = lane / 4 and t = lane % 4, low half first:
//   a[0] = (g, 2t), (g, 2t + 1)          a[1] = (g + 8, 2t), ..      a[2] = (g, 2t + 8), ..   a[3] = (g + 8, 2t + 8), ..
//   b[0] = (2t, g), (2t + 1, g)          b[1] = (2t + 8, g), (2t + 9, g)            as (k, column)
//   d[0], d[1] = (g, 2t), (g, 2t + 1)    d[2], d[3] = (g + 8, 2t), (g + 8, 2t + 1)
AIR_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// d += a b, a [16, 32] and b [32, 8] int8, d [16, 8] int32, exact (wraps). Four elements to a register, low byte first:
//   a[0] = (g, 4t .. 4t + 3)   a[1] = (g + 8, 4t ..)   a[2] = (g, 4t + 16 ..)   a[3] = (g + 8, 4t + 16 ..)
//   b[0] = (4t .. 4t + 3, g)   b[1] = (4t + 16 .., g)                d as above
AIR_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// --- binary16: bit patterns; a NaN result is 0x7fff ---------------------------------------------------------------
AIR_DEVICE float half_to_float(uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
// Rounds to nearest even; 65520 and above become infinity.
AIR_DEVICE uint16_t float_to_half(float value) {
  uint16_t half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}
// Two at once, low in the lower half of the word.
AIR_DEVICE uint32_t pack_halves(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
// Pairwise on two halves, one rounding each.
AIR_DEVICE uint32_t add_halves(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
AIR_DEVICE uint32_t sub_halves(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
AIR_DEVICE uint32_t mul_halves(uint32_t a, uint32_t b) {
  uint32_t d;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
AIR_DEVICE uint32_t fma_halves(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

// --- bits -----------------------------------------------------------------------------------------------------------
// Any function of three bits, as a table indexed by 4 a + 2 b + c. (a & b) | c is 0xea.
template <int table>
AIR_DEVICE uint32_t logic3(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(table));
  return d;
}
// Byte i of the result is byte (selector >> 4 i) & 7 of the eight bytes b:a (a holds bytes 0 .. 3).
AIR_DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  return __byte_perm(a, b, selector);
}
// c + the sum of the four products of signed bytes.
AIR_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), c);
}

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_DEVICE_GPU_H_
