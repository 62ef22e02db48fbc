#include "bench/kernels/ceilings.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>

namespace air_bench {
namespace {

// The loops are assembly, because intrinsics without loads leave the compiler free to do anything. Each has
// twelve independent sums: enough for a latency of six cycles on two pipes.
#define AIR_TWELVE(step) \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

using Loop = void (*)(int64_t iterations);

struct LoopOfIsa {
  const char* isa;
  Loop int4, int8, float32;
  double operations;  // of one step of the integer loops
  double float32_operations;
};

#if defined(__x86_64__)

// Registers 0 to 11 are the sums, 12 and 13 free, 14 and 15 operands. Zeros first: no denormal slows a loop.
#define AIR_LOOP(name, step)                                                                             \
  void name(int64_t iterations) {                                                                        \
    asm volatile("vzeroall\n1:\n" AIR_TWELVE(step) "dec %0\n jnz 1b\n vzeroupper\n"                      \
                 : "+r"(iterations)                                                                      \
                 :                                                                                       \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                \
  }

#define AIR_VPDPBUSD_ZMM(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #i "\n"
#define AIR_VPDPBUSD_YMM(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #i "\n"
#define AIR_MADDUBS(i) "vpmaddubsw %%ymm14, %%ymm15, %%ymm13\n vpaddw %%ymm13, %%ymm" #i ", %%ymm" #i "\n"
#define AIR_SIGNED_MADDUBS(i)              \
  "vpsignb %%ymm14, %%ymm15, %%ymm13\n"    \
  "vpmaddubsw %%ymm13, %%ymm15, %%ymm13\n" \
  "vpmaddwd %%ymm13, %%ymm15, %%ymm13\n"   \
  "vpaddd %%ymm13, %%ymm" #i ", %%ymm" #i "\n"
#define AIR_FMA_ZMM(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #i "\n"
#define AIR_FMA_YMM(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n"

AIR_LOOP(vpdpbusd_zmm, AIR_VPDPBUSD_ZMM)
AIR_LOOP(vpdpbusd_ymm, AIR_VPDPBUSD_YMM)
AIR_LOOP(maddubs, AIR_MADDUBS)
AIR_LOOP(signed_maddubs, AIR_SIGNED_MADDUBS)
AIR_LOOP(fma_zmm, AIR_FMA_ZMM)
AIR_LOOP(fma_ymm, AIR_FMA_YMM)

constexpr LoopOfIsa kLoops[] = {
    {"avx512vnni", vpdpbusd_zmm, vpdpbusd_zmm, fma_zmm, 128, 32},
    {"avxvnni", vpdpbusd_ymm, vpdpbusd_ymm, fma_ymm, 64, 16},
    {"avx2", maddubs, signed_maddubs, fma_ymm, 64, 16},
};

#elif defined(__aarch64__)

// Registers 0 to 11 are the sums, 12 and 13 operands.
#define AIR_LOOP(name, step)                                                                              \
  void name(int64_t iterations) {                                                                         \
    asm volatile(".arch armv8.2-a+dotprod+i8mm\n movi v12.16b, #0\n movi v13.16b, #0\n1:\n" AIR_TWELVE(   \
                     step) "subs %0, %0, #1\n b.ne 1b\n"                                                  \
                 : "+r"(iterations)                                                                       \
                 :                                                                                        \
                 : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
                   "v13");                                                                                \
  }

#define AIR_SDOT(i) "sdot v" #i ".4s, v12.16b, v13.4b[0]\n"
#define AIR_SMMLA(i) "smmla v" #i ".4s, v12.16b, v13.16b\n"
#define AIR_FMLA(i) "fmla v" #i ".4s, v12.4s, v13.s[0]\n"

AIR_LOOP(sdot, AIR_SDOT)
AIR_LOOP(smmla, AIR_SMMLA)
AIR_LOOP(fmla, AIR_FMLA)

constexpr LoopOfIsa kLoops[] = {
    {"neoni8mm", smmla, smmla, fmla, 64, 8},
    {"neon", sdot, sdot, fmla, 32, 8},
};

#else

constexpr LoopOfIsa kLoops[] = {{"none", nullptr, nullptr, nullptr, 0, 0}};

#endif

constexpr int64_t kIterations = 200000;
constexpr int kPasses = 9;  // the best one counts

double measure(Loop loop, double operations, air::ThreadPool& pool) {
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](air::Team& team) {
      team.for_each(team.threads(), 1, [&](int64_t, int64_t) { loop(kIterations); });
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double total = 12.0 * double(kIterations) * operations * pool.threads();
    best = std::max(best, total / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace

Ceilings measure_ceilings(const char* isa, air::ThreadPool& pool) {
  for (const LoopOfIsa& loops : kLoops) {
    if (std::strcmp(isa, loops.isa) != 0) continue;
    return {measure(loops.int4, loops.operations, pool), measure(loops.int8, loops.operations, pool),
            measure(loops.float32, loops.float32_operations, pool)};
  }
  return {0, 0, 0};
}

}  // namespace air_bench
