// Matrix products of one phase of a step, shared out among the threads.
#ifndef AIR_CORE_PRODUCTS_H_
#define AIR_CORE_PRODUCTS_H_

#include <cstdint>

#include "kernels/include/air_kernels.h"
#include "native/core/model.h"
#include "native/core/thread_pool.h"

namespace air {

// y (=|+=) W x + bias for the first rows of x.
struct Product {
  const Linear* linear;
  const AirActivations* x;
  float* y;  // [rows, linear->weight.rows]
  AirStore store;
};

// Computes `count` products of as many rows side by side. Every thread of the team makes the same call.
void multiply(Team& team, const AirKernelTable& kernels, int64_t rows, const Product* products, int count);

}  // namespace air

#endif  // AIR_CORE_PRODUCTS_H_
