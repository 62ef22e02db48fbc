#include "test/kernels/emulator/matrix.h"

#include <cmath>
#include <cstring>

#include "test/kernels/emulator/memory.h"

namespace air::emulator {

namespace {

constexpr int kLanes = 32;

// Tensor cores add exact products without normalising in between and cut the sum off instead of rounding it; a
// k of 16 is two such sums of 8 (Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", 2021).
// A device may keep fewer bits of the smaller products than the double here: results agree to about 2^-22 of the
// largest product, never to the bit.
float cut_to_float(double value) {
  if (!std::isfinite(value)) return static_cast<float>(value);
  const auto nearest = static_cast<float>(value);
  if (std::fabs(static_cast<double>(nearest)) <= std::fabs(value)) return nearest;
  return std::nextafterf(nearest, 0.0f);
}

float half_of(const uint32_t* registers, int index) {
  return half_to_float(static_cast<uint16_t>(registers[index / 2] >> 16 * (index % 2)));
}

int32_t byte_of(uint32_t word, int index) { return static_cast<int8_t>(word >> 8 * index); }

}  // namespace

void load_matrices(WarpStep* const* lanes) {
  const auto count = static_cast<int>(lanes[0]->matrices);
  uint16_t rows[4][8][8];  // matrix, row, column
  for (int lane = 0; lane < 8 * count; ++lane) {
    check_shared_row(lane, lanes[lane]->address, lanes[lane]->site);
    std::memcpy(rows[lane / 8][lane % 8], lanes[lane]->address, 16);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < count; ++i) {
      const int row = lane / 4;
      const int column = lane % 4 * 2;
      const uint32_t low = lanes[lane]->transposed ? rows[i][column][row] : rows[i][row][column];
      const uint32_t high = lanes[lane]->transposed ? rows[i][column + 1][row] : rows[i][row][column + 1];
      lanes[lane]->out[i] = low | high << 16;
    }
  }
}

void multiply_half(WarpStep* const* lanes) {
  double a[16][16];  // row, k
  double b[8][16];   // column, k
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane / 4;
    const int pair = lane % 4 * 2;
    for (int i = 0; i < 8; ++i) {
      // Registers 0 .. 3 are (row, row + 8) of k 0 .. 7, then of k 8 .. 15.
      a[group + 8 * (i / 2 % 2)][pair + 8 * (i / 4) + i % 2] = half_of(lanes[lane]->a, i);
    }
    for (int i = 0; i < 4; ++i) b[group][pair + 8 * (i / 2) + i % 2] = half_of(lanes[lane]->b, i);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* d = static_cast<float*>(lanes[lane]->d);
    for (int i = 0; i < 4; ++i) {
      const double* row = a[lane / 4 + 8 * (i / 2)];
      const double* column = b[lane % 4 * 2 + i % 2];
      for (int half = 0; half < 16; half += 8) {
        double sum = d[i];
        for (int k = half; k < half + 8; ++k) sum += row[k] * column[k];
        d[i] = cut_to_float(sum);
      }
    }
  }
}

void multiply_int8(WarpStep* const* lanes) {
  int32_t a[16][32];  // row, k
  int32_t b[8][32];   // column, k
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane / 4;
    const int first = lane % 4 * 4;
    for (int byte = 0; byte < 4; ++byte) {
      for (int i = 0; i < 4; ++i)
        a[group + 8 * (i % 2)][first + 16 * (i / 2) + byte] = byte_of(lanes[lane]->a[i], byte);
      for (int i = 0; i < 2; ++i) b[group][first + 16 * i + byte] = byte_of(lanes[lane]->b[i], byte);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* d = static_cast<int32_t*>(lanes[lane]->d);
    for (int i = 0; i < 4; ++i) {
      const int32_t* row = a[lane / 4 + 8 * (i / 2)];
      const int32_t* column = b[lane % 4 * 2 + i % 2];
      auto sum = static_cast<uint32_t>(d[i]);
      for (int k = 0; k < 32; ++k) sum += static_cast<uint32_t>(row[k] * column[k]);
      d[i] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace air::emulator
