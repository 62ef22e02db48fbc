// The NEON ops of this folder; table.cc lists them. kernels/include/air_kernels.h states what each computes.
#ifndef AIR_KERNELS_NEON_OPS_H_
#define AIR_KERNELS_NEON_OPS_H_

#include "kernels/include/air_kernels.h"

namespace air::neon {

void quantize_rows(const float* x, int64_t rows, int64_t cols, int8_t* q, float* scales, int32_t* sums16);
void matmul_int4(const AirMatmulArgs* args);
void matmul_int8(const AirMatmulArgs* args);
void matmul_f16(const AirMatmulArgs* args);
void matmul_f32(const AirMatmulArgs* args);
void rms_norm(const float* x, const float* weight, float epsilon, int64_t cols, float* y);
void silu_mul(const float* gate, const float* up, int64_t count, float* y);
void rope(float* x, int64_t heads, int64_t head_stride, int64_t rope_dims, const float* cosines,
          const float* sines, int32_t pairing);
void kv_write(const AirKvLayout* layout, uint8_t* member, int64_t offset, const float* key,
              const float* value);
void attention(const AirAttentionArgs* args);

}  // namespace air::neon

#endif  // AIR_KERNELS_NEON_OPS_H_
