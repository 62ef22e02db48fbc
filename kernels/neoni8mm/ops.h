// The ops of this folder; the table takes the others from kernels/neon.
#ifndef AIR_KERNELS_NEONI8MM_OPS_H_
#define AIR_KERNELS_NEONI8MM_OPS_H_

#include "kernels/include/air_kernels.h"

namespace air::neoni8mm {

void matmul_int4(const AirMatmulArgs* args);
void matmul_int8(const AirMatmulArgs* args);

}  // namespace air::neoni8mm

#endif  // AIR_KERNELS_NEONI8MM_OPS_H_
