// The attention kernels as the emulator calls them, those with planted faults among them.
#ifndef AIR_TEST_KERNELS_SUPPORT_ATTENTION_KERNELS_H_
#define AIR_TEST_KERNELS_SUPPORT_ATTENTION_KERNELS_H_

#include <cstring>

#include "kernels/cuda/page_mass_params.h"

extern "C" {
void attention_1_1(air::cuda::AttentionParams params);
void attention_2_1(air::cuda::AttentionParams params);
void attention_4_1(air::cuda::AttentionParams params);
void attention_1_2(air::cuda::AttentionParams params);
void attention_2_2(air::cuda::AttentionParams params);
void merge_attention(air::cuda::AttentionParams params);
void add_page_mass(air::cuda::PageMassParams params);
void finish_page_mass(air::cuda::PageMassParams params);
// test/kernels/planted/attention_*.cu
void attention_without_barrier(air::cuda::AttentionParams params);
void attention_with_wrong_page(air::cuda::AttentionParams params);
}

namespace air_test {

using AttentionKernel = void (*)(air::cuda::AttentionParams params);

inline AttentionKernel find_attention_kernel(const char* name) {
  const struct {
    const char* name;
    AttentionKernel kernel;
  } kernels[] = {{"attention_1_1", attention_1_1},
                 {"attention_2_1", attention_2_1},
                 {"attention_4_1", attention_4_1},
                 {"attention_1_2", attention_1_2},
                 {"attention_2_2", attention_2_2},
                 {"attention_without_barrier", attention_without_barrier},
                 {"attention_with_wrong_page", attention_with_wrong_page}};
  for (const auto& entry : kernels) {
    if (std::strcmp(entry.name, name) == 0) return entry.kernel;
  }
  return nullptr;
}

}  // namespace air_test

#endif  // AIR_TEST_KERNELS_SUPPORT_ATTENTION_KERNELS_H_
