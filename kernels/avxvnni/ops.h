// The ops of this folder; the table takes the others from kernels/avx2.
#ifndef AIR_KERNELS_AVXVNNI_OPS_H_
#define AIR_KERNELS_AVXVNNI_OPS_H_

#include "kernels/include/air_kernels.h"

namespace air::avxvnni {

void matmul_int4(const AirMatmulArgs* args);
void matmul_int8(const AirMatmulArgs* args);

}  // namespace air::avxvnni

#endif  // AIR_KERNELS_AVXVNNI_OPS_H_
