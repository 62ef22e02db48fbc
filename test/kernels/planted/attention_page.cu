// Attention that reads the page after the right one.
#define AIR_PLANT_PAGE
#define AIR_ATTENTION_KERNELS
#include "kernels/cuda/attention.cu"

AIR_KERNEL(128) attention_with_wrong_page(air::cuda::AttentionParams params) {
  air::cuda::attend<1, 1>(params);
}
