// The wrappers of kernels/cuda/device.h for the emulator; device_gpu.h says what each does.
#ifndef AIR_TEST_KERNELS_EMULATOR_DEVICE_EMULATOR_H_
#define AIR_TEST_KERNELS_EMULATOR_DEVICE_EMULATOR_H_

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "test/kernels/emulator/device_calls.h"

#define AIR_KERNEL(max_threads) extern "C" void
#define AIR_KERNEL_RESIDENT(max_threads, min_blocks) extern "C" void
#define AIR_DEVICE [[maybe_unused]] static inline __attribute__((always_inline))
#define AIR_UNROLL
#define AIR_NO_UNROLL
#define AIR_UNROLL_BY(count)
#define AIR_CONSTANT static const

// The place of a call in the kernel's source, as default arguments of the wrapper called there.
#define AIR_SITE_PARAMETERS const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace air::cuda {

AIR_DEVICE uint32_t thread_id() { return emulator::thread_id(); }
AIR_DEVICE uint32_t block_threads() { return emulator::block_threads(); }
AIR_DEVICE uint32_t block_x() { return emulator::block_index(0); }
AIR_DEVICE uint32_t block_y() { return emulator::block_index(1); }
AIR_DEVICE uint32_t block_z() { return emulator::block_index(2); }
AIR_DEVICE uint32_t grid_x() { return emulator::grid_size(0); }
AIR_DEVICE uint32_t grid_y() { return emulator::grid_size(1); }
AIR_DEVICE uint32_t grid_z() { return emulator::grid_size(2); }
AIR_DEVICE uint8_t* shared_memory() { return emulator::shared_memory(); }

// --- synchronisation ----------------------------------------------------------------------------------------
AIR_DEVICE void sync_threads(AIR_SITE_PARAMETERS) { emulator::sync_threads({file, line}); }
AIR_DEVICE void sync_warp(uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  emulator::WarpStep step = {};
  step.op = emulator::WarpOp::kSync;
  step.mask = mask;
  step.site = {file, line};
  emulator::run_warp_step(&step);
}
AIR_DEVICE void thread_fence() { emulator::thread_fence(); }
AIR_DEVICE uint32_t atomic_add(uint32_t* address, uint32_t value) {
  return emulator::atomic_add(address, value);
}

// --- shuffles and votes -------------------------------------------------------------------------------------
template <typename T>
AIR_DEVICE T shuffle(T value, uint32_t source_lane, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  static_assert(sizeof(T) <= 8, "a register or two");
  emulator::WarpStep step = {};
  step.op = emulator::WarpOp::kShuffle;
  step.mask = mask;
  step.site = {file, line};
  step.source = source_lane % 32;
  memcpy(&step.bits, &value, sizeof value);
  emulator::run_warp_step(&step);
  memcpy(&value, &step.result, sizeof value);
  return value;
}
template <typename T>
AIR_DEVICE T shuffle_xor(T value, uint32_t lane_mask, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  return shuffle(value, thread_id() % 32 ^ lane_mask, mask, file, line);
}
template <typename T>
AIR_DEVICE T shuffle_down(T value, uint32_t delta, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  const uint32_t lane = thread_id() % 32;
  return shuffle(value, lane + delta < 32 ? lane + delta : lane, mask, file, line);
}
template <typename T>
AIR_DEVICE T shuffle_up(T value, uint32_t delta, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  const uint32_t lane = thread_id() % 32;
  return shuffle(value, lane >= delta ? lane - delta : lane, mask, file, line);
}
AIR_DEVICE uint32_t vote_ballot(bool predicate, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  emulator::WarpStep step = {};
  step.op = emulator::WarpOp::kVote;
  step.mask = mask;
  step.site = {file, line};
  step.bits = predicate ? 1 : 0;
  emulator::run_warp_step(&step);
  return static_cast<uint32_t>(step.result);
}
AIR_DEVICE bool vote_any(bool predicate, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  return vote_ballot(predicate, mask, file, line) != 0;
}
AIR_DEVICE bool vote_all(bool predicate, uint32_t mask = 0xffffffffu, AIR_SITE_PARAMETERS) {
  return vote_ballot(predicate, mask, file, line) == mask;
}

// --- vector loads and stores ----------------------------------------------------------------------------------
struct alignas(8) Words2 {
  uint32_t x, y;
};
struct alignas(16) Words4 {
  uint32_t x, y, z, w;
};

AIR_DEVICE Words2 load_words2(const void* address) {
  Words2 v;
  emulator::load_vector(&v, address, sizeof v);
  return v;
}
AIR_DEVICE Words4 load_words4(const void* address) {
  Words4 v;
  emulator::load_vector(&v, address, sizeof v);
  return v;
}
AIR_DEVICE void store_words2(void* address, Words2 v) { emulator::store_vector(address, &v, sizeof v); }
AIR_DEVICE void store_words4(void* address, Words4 v) { emulator::store_vector(address, &v, sizeof v); }
AIR_DEVICE Words4 load_words4_once(const void* address) { return load_words4(address); }

// --- cp.async -------------------------------------------------------------------------------------------------
AIR_DEVICE void cp_async16(void* shared, const void* global) { emulator::copy_async(shared, global, 16, 16); }
AIR_DEVICE void cp_async16_zero_fill(void* shared, const void* global, uint32_t bytes) {
  emulator::copy_async(shared, global, bytes, 16);
}
AIR_DEVICE void cp_async_commit() { emulator::commit_copies(); }
template <int pending>
AIR_DEVICE void cp_async_wait() {
  emulator::wait_for_copies(pending);
}

// --- matrix instructions ----------------------------------------------------------------------------------------
AIR_DEVICE void load_matrices(uint32_t* out, const void* row, uint32_t matrices, bool transposed,
                              const char* file, int line) {
  emulator::WarpStep step = {};
  step.op = emulator::WarpOp::kLoadMatrix;
  step.mask = 0xffffffffu;
  step.site = {file, line};
  step.address = row;
  step.matrices = matrices;
  step.transposed = transposed;
  step.out = out;
  emulator::run_warp_step(&step);
}
AIR_DEVICE void ldmatrix_x4(uint32_t (&out)[4], const void* shared_row, AIR_SITE_PARAMETERS) {
  load_matrices(out, shared_row, 4, false, file, line);
}
AIR_DEVICE void ldmatrix_x4_trans(uint32_t (&out)[4], const void* shared_row, AIR_SITE_PARAMETERS) {
  load_matrices(out, shared_row, 4, true, file, line);
}
AIR_DEVICE void ldmatrix_x2(uint32_t (&out)[2], const void* shared_row, AIR_SITE_PARAMETERS) {
  load_matrices(out, shared_row, 2, false, file, line);
}
AIR_DEVICE void ldmatrix_x2_trans(uint32_t (&out)[2], const void* shared_row, AIR_SITE_PARAMETERS) {
  load_matrices(out, shared_row, 2, true, file, line);
}

AIR_DEVICE void multiply(emulator::WarpOp op, void* d, const uint32_t* a, const uint32_t* b, const char* file,
                         int line) {
  emulator::WarpStep step = {};
  step.op = op;
  step.mask = 0xffffffffu;
  step.site = {file, line};
  step.a = a;
  step.b = b;
  step.d = d;
  emulator::run_warp_step(&step);
}
AIR_DEVICE void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                             AIR_SITE_PARAMETERS) {
  multiply(emulator::WarpOp::kMultiplyHalf, d, a, b, file, line);
}
AIR_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                AIR_SITE_PARAMETERS) {
  multiply(emulator::WarpOp::kMultiplyInt8, d, a, b, file, line);
}

// --- binary16 ------------------------------------------------------------------------------------------------------
AIR_DEVICE float half_to_float(uint16_t half) { return emulator::half_to_float(half); }
AIR_DEVICE uint16_t float_to_half(float value) { return emulator::float_to_half(value); }
AIR_DEVICE uint32_t pack_halves(float low, float high) {
  return static_cast<uint32_t>(float_to_half(low)) | static_cast<uint32_t>(float_to_half(high)) << 16;
}
// a + b = a * 1 + b, and a - b = b * -1 + a.
AIR_DEVICE uint32_t add_halves(uint32_t a, uint32_t b) { return emulator::halves_fma(a, 0x3c003c00u, b); }
AIR_DEVICE uint32_t sub_halves(uint32_t a, uint32_t b) { return emulator::halves_fma(b, 0xbc00bc00u, a); }
AIR_DEVICE uint32_t mul_halves(uint32_t a, uint32_t b) { return emulator::halves_mul(a, b); }
AIR_DEVICE uint32_t fma_halves(uint32_t a, uint32_t b, uint32_t c) { return emulator::halves_fma(a, b, c); }

// --- bits ----------------------------------------------------------------------------------------------------------
template <int table>
AIR_DEVICE uint32_t logic3(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (int row = 0; row < 8; ++row) {
    if ((table >> row & 1) == 0) continue;
    result |= ((row & 4) != 0 ? a : ~a) & ((row & 2) != 0 ? b : ~b) & ((row & 1) != 0 ? c : ~c);
  }
  return result;
}
AIR_DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t index = selector >> 4 * i & 7;
    result |= static_cast<uint32_t>(bytes >> 8 * index & 0xff) << 8 * i;
  }
  return result;
}
AIR_DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
  for (int i = 0; i < 4; ++i) c += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  return c;
}

}  // namespace air::cuda

#endif  // AIR_TEST_KERNELS_EMULATOR_DEVICE_EMULATOR_H_
