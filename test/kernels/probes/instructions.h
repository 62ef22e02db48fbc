// Kernels of one warp around single instructions.
#ifndef AIR_TEST_KERNELS_PROBES_INSTRUCTIONS_H_
#define AIR_TEST_KERNELS_PROBES_INSTRUCTIONS_H_

#include <stdint.h>

namespace probe {

enum Loading : int32_t {
  kByIndex,     // fragments read element by element, as device_gpu.h lists them
  kByMatrices,  // ldmatrix
  kTransposed,  // ldmatrix .trans of matrices stored the other way round
  kWrongIndex,  // kByIndex with two of a's registers exchanged
};

constexpr int32_t kShuffleResults = 8;
constexpr int32_t kBitResults = 9;

}  // namespace probe

// For tests; nvcc would take these for host functions of the kernels' names.
#ifndef __CUDACC__

// d = a b + d. a: [16, 16], b: [8, 16] binary16 as (column, k), d: [16, 8].
// kTransposed: a is [16, 16] as (k, row), b [16, 8] as (k, column).
extern "C" void probe_multiply_half(const uint16_t* a, const uint16_t* b, float* d, int32_t loading);
// a: [16, 32], b: [8, 32] int8 as (column, k), d: [16, 8]
extern "C" void probe_multiply_int8(const uint32_t* a, const uint32_t* b, int32_t* d);
// out: [32, kShuffleResults] of values derived from the lane
extern "C" void probe_shuffles(uint32_t* out);
// a, b, c: [count] words, out: [count, kBitResults]
extern "C" void probe_bits(const uint32_t* a, const uint32_t* b, const uint32_t* c, uint32_t* out,
                           int32_t count);

#endif  // __CUDACC__

#endif  // AIR_TEST_KERNELS_PROBES_INSTRUCTIONS_H_
