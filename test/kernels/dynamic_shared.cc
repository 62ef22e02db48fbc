// Prints the most dynamic shared memory that each matmul and attention kernel is launched with on AGX Orin, over the
// shapes of models from 135 million to 70 billion parameters and of odd ones: "kernel bytes" a line, for
// scripts/cuda-resources.mjs.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "kernels/cuda/launch/attention.h"
#include "kernels/cuda/launch/matmul.h"
#include "kernels/include/air_formats.h"

namespace {

using air::cuda::WeightFormat;

constexpr int32_t kWidths[] = {64, 576, 1024, 2048, 3072, 4096, 5632, 8192, 11008, 14336, 28672};
constexpr int32_t kOutputs[] = {64, 576, 1024, 2048, 4096, 8192, 22016, 28672, 57344, 128256};
constexpr int32_t kRows[] = {1, 2, 4, 8, 16, 17, 32, 64, 128, 512};
constexpr int32_t kTypes[] = {AIR_KV_INT8, AIR_KV_F16, AIR_KV_INT4};

// AGX Orin's, as MatmulDevice's defaults.
constexpr air::cuda::MatmulDevice kOrin;

using Most = std::map<std::string, uint32_t>;

void note(const char* kernel, uint32_t bytes, Most* most) {
  uint32_t& known = (*most)[kernel];
  known = std::max(known, bytes);
}

void add_matmul(Most* most) {
  for (int format = 0; format < air::cuda::kWeightFormats; ++format) {
    for (const int32_t cols : kWidths) {
      for (const int32_t outputs : kOutputs) {
        for (const int32_t rows : kRows) {
          const auto weights = static_cast<WeightFormat>(format);
          const air::cuda::MatmulLaunch launch = choose_matmul(weights, outputs / 16, cols, rows, kOrin);
          note(matmul_kernel_name(weights, launch.kernel), launch.shape.shared_bytes, most);
        }
      }
    }
  }
}

void add_attention(const air::cuda::AttentionProblem& problem, Most* most) {
  air::cuda::AttentionDevice device;
  device.multiprocessors = kOrin.multiprocessors;
  device.shared_per_block = kOrin.shared_bytes_per_block;
  device.shared_per_multiprocessor = kOrin.shared_bytes_per_multiprocessor;
  const air::cuda::AttentionShape shape = choose_attention(problem, device);
  if (shape.kernel == nullptr) return;
  note(shape.kernel, shape.launch.shared_bytes, most);
  if (shape.split_lanes > 0) note("merge_attention", shape.merge.shared_bytes, most);
}

void add_attentions(Most* most) {
  air::cuda::AttentionProblem problem;
  for (problem.padded_dim = 32; problem.padded_dim <= AIR_MAX_HEAD_DIM; problem.padded_dim += 32) {
    for (const int32_t key_type : kTypes) {
      for (const int32_t value_type : kTypes) {
        for (const int32_t heads : {1, 4, 8, 71}) {
          for (const int32_t rows : kRows) {
            for (const int64_t cached : {int64_t{256}, int64_t{8192}, int64_t{131072}}) {
              for (const bool has_sinks : {false, true}) {
                problem.key_type = key_type;
                problem.value_type = value_type;
                problem.kv_heads = 8;
                problem.heads_per_kv = heads;
                problem.query_heads = 8 * heads;
                problem.rows = problem.rows_per_sequence = rows;
                problem.cached_tokens = cached;
                problem.has_sinks = has_sinks;
                add_attention(problem, most);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace

int main() {
  Most most;
  add_matmul(&most);
  add_attentions(&most);
  for (const auto& [kernel, bytes] : most) std::printf("%s %u\n", kernel.c_str(), bytes);
  return 0;
}
