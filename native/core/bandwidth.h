// How fast this machine reads memory: the bound of decoding, which reads every weight once per step.
#ifndef AIR_CORE_BANDWIDTH_H_
#define AIR_CORE_BANDWIDTH_H_

#include <cstdint>

#include "native/core/status.h"

namespace air {

struct BandwidthOptions {
  int threads = 1;
  int64_t bytes = int64_t{256} << 20;  // read per pass; far above any last-level cache
  int passes = 8;                      // the best one counts
};

// Reads a buffer of options.bytes with all threads at once, several times. The result is in units of 1e9 bytes
// per second. The buffer is freed before returning.
Status measure_read_bandwidth(const BandwidthOptions& options, double* gigabytes_per_second);

}  // namespace air

#endif  // AIR_CORE_BANDWIDTH_H_
