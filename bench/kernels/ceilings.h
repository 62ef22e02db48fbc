// What a CPU's multipliers can do at most: loops that touch nothing but registers.
#ifndef AIR_BENCH_KERNELS_CEILINGS_H_
#define AIR_BENCH_KERNELS_CEILINGS_H_

#include "native/core/thread_pool.h"

namespace air_bench {

// In 1e9 operations per second, a multiplication and an addition being two; all threads together. 0 where the
// instruction set has no such loop (the reference).
struct Ceilings {
  double int4;     // unsigned nibbles by signed bytes
  double int8;     // signed bytes by signed bytes, exact
  double float32;  // fused multiply-add
};

// isa: the name of a kernel table that this CPU can run.
Ceilings measure_ceilings(const char* isa, air::ThreadPool& pool);

}  // namespace air_bench

#endif  // AIR_BENCH_KERNELS_CEILINGS_H_
