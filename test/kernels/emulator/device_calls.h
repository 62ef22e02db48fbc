// What the wrappers of device_emulator.h call: instructions of the running thread.
#ifndef AIR_TEST_KERNELS_EMULATOR_DEVICE_CALLS_H_
#define AIR_TEST_KERNELS_EMULATOR_DEVICE_CALLS_H_

#include <stdint.h>

namespace air::emulator {

// Where in a kernel's source an instruction is written: lanes meet when they are at the same one.
struct Site {
  const char* file;
  int line;
};

enum class WarpOp { kSync, kShuffle, kVote, kLoadMatrix, kMultiplyHalf, kMultiplyInt8 };

// One lane's part in an instruction that lanes execute together; the last to arrive does the work of all.
struct WarpStep {
  WarpOp op;
  uint32_t mask;
  Site site;
  uint64_t bits;        // kShuffle: the value; kVote: the predicate
  uint32_t source;      // kShuffle: the lane whose value is taken; kVote: unused
  uint64_t result;      // kShuffle: that value; kVote: the ballot
  const void* address;  // kLoadMatrix: this lane's row
  uint32_t matrices;    // kLoadMatrix: 2 or 4
  bool transposed;      // kLoadMatrix
  uint32_t* out;        // kLoadMatrix: [matrices]
  const uint32_t* a;    // kMultiply*: fragments
  const uint32_t* b;
  void* d;
};

uint32_t thread_id();
uint32_t block_threads();
uint32_t block_index(int dimension);
uint32_t grid_size(int dimension);
uint8_t* shared_memory();

void sync_threads(Site site);
void run_warp_step(WarpStep* step);
void thread_fence();
uint32_t atomic_add(uint32_t* address, uint32_t value);

// One access of 8 or 16 bytes; the address must be a multiple of that.
void load_vector(void* registers, const void* address, uint32_t bytes);
void store_vector(void* address, const void* registers, uint32_t bytes);

void copy_async(void* shared, const void* global, uint32_t read_bytes, uint32_t total_bytes);
void commit_copies();
void wait_for_copies(uint32_t pending);

float half_to_float(uint16_t half);
uint16_t float_to_half(float value);
// Of both halves of the words, rounded once.
uint32_t halves_mul(uint32_t a, uint32_t b);
uint32_t halves_fma(uint32_t a, uint32_t b, uint32_t c);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_DEVICE_CALLS_H_
