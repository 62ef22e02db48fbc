// What the kernel benches share: repeated timing, the ISAs to measure, the line that names the machine.
#ifndef AIR_BENCH_KERNELS_TIMING_H_
#define AIR_BENCH_KERNELS_TIMING_H_

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/include/air_kernels.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace air_bench {

struct Timing {
  double median, p10, p90;  // seconds
};

template <typename Work>
Timing time_repeated(int repeats, Work work) {
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double quantile) {
    return seconds[size_t(quantile * double(seconds.size() - 1) + 0.5)];
  };
  return {at(0.5), at(0.1), at(0.9)};
}

inline void print_machine() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  std::string name = "unknown CPU";
  while (std::getline(info, line) && name == "unknown CPU") {
    if (line.rfind("model name", 0) == 0) name = line.substr(line.find(':') + 2);
  }
  std::printf("machine: %s; one thread; median [p10 .. p90]\n", name.c_str());
}

// The vector ISAs of this CPU, or only the one that was asked for.
inline std::vector<const AirKernelTable*> tables_to_measure(int argc, char** argv) {
  std::vector<const AirKernelTable*> tables;
  const auto add = [&](const AirKernelTable* table) {
    if (argc < 2 || std::strcmp(argv[1], table->isa) == 0) tables.push_back(table);
  };
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) add(air_kernels_avx512vnni());
  add(air_kernels_avxvnni());
  if (__builtin_cpu_supports("avx2")) add(air_kernels_avx2());
#elif defined(__aarch64__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) add(air_kernels_neon());
#else
  add(air_kernels_reference());
#endif
  return tables;
}

}  // namespace air_bench

#endif  // AIR_BENCH_KERNELS_TIMING_H_
