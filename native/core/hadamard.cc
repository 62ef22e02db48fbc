#include "native/core/hadamard.h"

#include <cmath>

namespace air {

void hadamard_transform(float* x, int64_t dims) noexcept {
  const int64_t block = dims & -dims;
  for (int64_t width = 1; width < block; width *= 2) {
    for (int64_t begin = 0; begin < dims; begin += 2 * width) {
      float* low = x + begin;
      float* high = low + width;
      for (int64_t i = 0; i < width; ++i) {
        const float a = low[i];
        const float b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
  }
  const float scale = 1.0F / std::sqrt(static_cast<float>(block));
  for (int64_t d = 0; d < dims; ++d) x[d] *= scale;
}

}  // namespace air
