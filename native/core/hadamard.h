// Orthogonal mixing of a head's dims: spreads outliers, leaves dot products as they are (QuaRot, arXiv 2404.00456).
#ifndef AIR_CORE_HADAMARD_H_
#define AIR_CORE_HADAMARD_H_

#include <cstdint>

namespace air {

// In place: each block of x, as long as the largest power of two that divides `dims`, times the Hadamard matrix of
// that size (Sylvester's construction) over the square root of its size. dims: a multiple of 32.
// Order of operations: for width = 1, 2, 4, .. below the block, (a, b) = (a + b, a - b) for elements `width` apart;
// then one multiplication. The same bits on every CPU.
void hadamard_transform(float* x, int64_t dims) noexcept;

}  // namespace air

#endif  // AIR_CORE_HADAMARD_H_
