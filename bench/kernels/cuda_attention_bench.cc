// Speed of the CUDA attention kernels against what the device can do: GB/s of keys and values read by few rows, TFLOP/s
// of prompts, as fractions of the read bandwidth and of the matrix instructions' ceiling measured in the same run. Some
// results of each case are checked against double precision; a wrong one fails the run.
// usage: cuda_attention_bench [--json] [--trial]
//
// Each case goes through many layers' pages, 512 MB together, so that they come from memory as in a model.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "bench/kernels/cuda_attention_case.h"

namespace {

using air_bench::AttentionCase;
using air_bench::Case;
using air_bench::Result;

// Of the sum of |weight * value|: weights, values times scales and the result are rounded to float16, 2^-11 each. 1e-4 at
// most in the emulator.
constexpr double kTolerance = 2e-3;

constexpr Case kCases[] = {{"8B decode", 8, 4, 128, AIR_KV_INT8, 1, 1, 8192},
                           {"8B decode x 4", 8, 4, 128, AIR_KV_INT8, 4, 1, 8192},
                           {"8B decode x 16", 8, 4, 128, AIR_KV_INT8, 16, 1, 2048},
                           {"8B verify 8", 8, 4, 128, AIR_KV_INT8, 1, 8, 8192},
                           {"8B short", 8, 4, 128, AIR_KV_INT8, 1, 1, 1024},
                           {"8B int4", 8, 4, 128, AIR_KV_INT4, 1, 1, 8192},
                           {"8B f16", 8, 4, 128, AIR_KV_F16, 1, 1, 8192},
                           {"7B decode", 32, 1, 128, AIR_KV_INT8, 1, 1, 8192},
                           {"1B decode", 8, 4, 64, AIR_KV_INT8, 1, 1, 8192},
                           {"8B prefill 512", 8, 4, 128, AIR_KV_INT8, 1, 512, 4096},
                           {"8B f16 prefill 512", 8, 4, 128, AIR_KV_F16, 1, 512, 4096}};
constexpr Case kTrialCases[] = {{"decode", 2, 4, 64, AIR_KV_INT8, 2, 1, 700},
                                {"int4 decode", 2, 2, 64, AIR_KV_INT4, 1, 1, 300},
                                {"prefill", 1, 2, 32, AIR_KV_F16, 1, 40, 90}};

const char* type_name(AirKvType type) {
  return type == AIR_KV_INT8 ? "int8" : type == AIR_KV_INT4 ? "int4" : "f16";
}

void print(const air_bench::CudaBench& bench, const air_bench::CudaCeilings& ceilings,
           const std::vector<Result>& results, bool as_json) {
  const char* heading =
      as_json ? "{\"bench\": \"attention\", \"device\": \"%s\", \"read_gbps\": %.1f, \"copy_gbps\": %.1f, "
                "\"matrix_tflops\": %.2f, \"results\": [\n"
              : "device: %s; reads %.1f GB/s, copies %.1f GB/s, multiplies %.2f TFLOP/s (mma.m16n8k16)\n";
  std::printf(heading, bench.device().name.c_str(), ceilings.read_gbps, ceilings.copy_gbps,
              ceilings.matrix_tflops);
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    const char* line =
        as_json ? "  {\"case\": \"%s\", \"kv\": \"%s\", \"depth\": %d, \"rows\": %d, \"kernel\": \"%s\", "
                  "\"split_lanes\": %d, "
                  "\"micros\": %.2f, \"gbps\": %.1f, \"bandwidth_fraction\": %.3f, \"tflops\": %.2f, "
                  "\"ceiling_fraction\": %.3f, \"worst_error\": %.2e}%s\n"
                : "%-20s %-4s depth %-6d rows %-4d %-14s lanes %-3d %9.2f us %8.1f GB/s (%.2f) %8.2f TFLOP/s "
                  "(%.2f) error %.1e%s\n";
    std::printf(line, r.which->name, type_name(r.which->type), r.which->depth,
                r.which->sequences * r.which->rows, r.kernel, r.split_lanes, r.micros, r.gbps,
                r.bandwidth_fraction, r.tflops, r.ceiling_fraction, r.worst_error,
                as_json && i + 1 < results.size() ? "," : "");
  }
  if (as_json) std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const auto has = [&](const char* flag) {
    return std::any_of(argv + 1, argv + argc, [&](const char* text) { return std::strcmp(text, flag) == 0; });
  };
  air_bench::CudaBench bench(has("--trial"));
  const air_bench::CudaCeilings ceilings = bench.measure_ceilings();
  const std::vector<Case> cases = bench.is_trial()
                                      ? std::vector<Case>(std::begin(kTrialCases), std::end(kTrialCases))
                                      : std::vector<Case>(std::begin(kCases), std::end(kCases));
  std::vector<Result> results;
  for (const Case& which : cases) {
    results.push_back(AttentionCase(bench, which).measure(ceilings));
    results.back().which = &which;
  }
  print(bench, ceilings, results, has("--json"));
  for (const Result& result : results) {
    if (result.worst_error <= kTolerance) continue;
    std::fprintf(stderr, "%s: expected an error up to %.0e\n", result.which->name, kTolerance);
    return 1;
  }
  return 0;
}
