// Attention that reads the weights of other warps before they are written.
#define AIR_PLANT_BARRIER
#define AIR_ATTENTION_KERNELS
#include "kernels/cuda/attention.cu"

AIR_KERNEL(128) attention_without_barrier(air::cuda::AttentionParams params) {
  air::cuda::attend<1, 1>(params);
}
