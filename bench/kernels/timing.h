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
#include "native/core/isa.h"

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

inline std::string machine_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  std::string name = "unknown CPU";
  while (std::getline(info, line) && name == "unknown CPU") {
    if (line.rfind("model name", 0) == 0) name = line.substr(line.find(':') + 2);
  }
  return name;
}

inline void print_machine() {
  std::printf("machine: %s; one thread; median [p10 .. p90]\n", machine_name().c_str());
}

// The ISA that the first argument names, or the vector ISAs of this CPU.
inline std::vector<const AirKernelTable*> tables_to_measure(int argc, char** argv) {
  const char* isa = argc > 1 && argv[1][0] != '-' ? argv[1] : nullptr;
  std::vector<const AirKernelTable*> tables;
  for (const AirKernelTable* table : air::usable_kernels()) {
    const bool wanted = isa != nullptr ? std::strcmp(isa, table->isa) == 0 : table != air_kernels_reference();
    if (wanted) tables.push_back(table);
  }
  return tables;
}

}  // namespace air_bench

#endif  // AIR_BENCH_KERNELS_TIMING_H_
