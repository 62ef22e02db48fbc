#include "native/core/bandwidth.h"

#include "test/native/check.h"

TEST(a_measured_bandwidth_is_that_of_a_real_machine) {
  for (const int threads : {1, 3}) {
    air::BandwidthOptions options;
    options.threads = threads;
    options.bytes = int64_t{8} << 20;
    options.passes = 2;
    double gigabytes_per_second = 0;
    CHECK(air::measure_read_bandwidth(options, &gigabytes_per_second).ok());
    // From a slow board under emulation to a server's caches; a wrong unit is off by more.
    CHECK(gigabytes_per_second > 0.01);
    CHECK(gigabytes_per_second < 10000);
  }
}

TEST(a_measurement_without_threads_passes_or_bytes_is_refused) {
  double gigabytes_per_second = 0;
  for (int field = 0; field < 3; ++field) {
    air::BandwidthOptions options;
    if (field == 0) options.threads = 0;
    if (field == 1) options.passes = 0;
    if (field == 2) options.bytes = 1000;
    CHECK(air::measure_read_bandwidth(options, &gigabytes_per_second).code() == air::StatusCode::kArgument);
  }
}
