// Single-thread speed of the matmul kernels: GB/s of weights read and GOPS (2 operations per weight and row).
// usage: matmul_bench [isa]
//
// The weights of one measurement exceed 64 MB, so that one to a few rows run from memory as decoding does.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/kernels/timing.h"

namespace {

using air_bench::time_repeated;
using air_bench::Timing;

constexpr int64_t kRows = 2048, kCols = 5632;  // output channels, k: the down projection of a 1.1B model
constexpr int64_t kMinBytes = 64 << 20;
constexpr int64_t kActivationRows[] = {1, 2, 4, 8, 16, 64, 512};
constexpr int kRepeats = 9;

struct WeightKind {
  const char* name;
  int32_t weight_class, scale_group, has_min;
  int64_t bits;
};

constexpr WeightKind kKinds[] = {
    {"int4", AIR_WEIGHT_INT4, 32, 0, 4},          {"int4 mins", AIR_WEIGHT_INT4, 32, 1, 4},
    {"int8", AIR_WEIGHT_INT8, 32, 0, 8},          {"int8 mins", AIR_WEIGHT_INT8, 32, 1, 8},
    {"int8 group 16", AIR_WEIGHT_INT8, 16, 0, 8}, {"f16", AIR_WEIGHT_F16, 0, 0, 16}};

struct FreeAligned {
  void operator()(uint8_t* data) const { std::free(data); }
};

// As many equal matrices as make kMinBytes.
struct Weights {
  std::unique_ptr<uint8_t, FreeAligned> bytes;
  std::vector<AirMatrix> matrices;
};

Weights make_weights(const WeightKind& kind) {
  AirMatrix m = {};
  m.rows = kRows;
  m.cols = kCols;
  m.mins_offset = kind.scale_group != 0 ? kCols / kind.scale_group * 32 : 0;
  m.values_offset = m.mins_offset + (kind.has_min != 0 ? kCols : 0);
  m.tile_stride = m.values_offset + kCols * AIR_TILE_ROWS * kind.bits / 8;
  m.weight_class = kind.weight_class;
  m.scale_group = kind.scale_group;
  m.has_min = kind.has_min;
  const int64_t matrix_bytes = m.tile_stride * (kRows / AIR_TILE_ROWS);
  const int64_t count = (kMinBytes + matrix_bytes - 1) / matrix_bytes;
  Weights weights;
  weights.bytes.reset(
      static_cast<uint8_t*>(std::aligned_alloc(64, static_cast<size_t>(matrix_bytes * count))));
  // Every binary16 becomes 0x2c2c, about 0.065: neither the speed nor the range depends on the values.
  std::memset(weights.bytes.get(), 0x2c, static_cast<size_t>(matrix_bytes * count));
  for (int64_t i = 0; i < count; ++i) {
    m.data = weights.bytes.get() + i * matrix_bytes;
    weights.matrices.push_back(m);
  }
  return weights;
}

// One pass over `count` matrices.
Timing measure(const AirKernelTable& table, const Weights& weights, size_t count, int64_t rows) {
  const std::vector<float> values(static_cast<size_t>(rows * kCols), 0.5f);
  std::vector<int8_t> q(values.size());
  std::vector<float> scales(values.size() / 32);
  std::vector<int32_t> sums16(values.size() / 16);
  std::vector<float> y(static_cast<size_t>(rows * kRows));
  table.quantize_rows(values.data(), rows, kCols, q.data(), scales.data(), sums16.data());
  const AirActivations x = {values.data(), q.data(), scales.data(), sums16.data(), rows, kCols};
  return time_repeated(kRepeats, [&] {
    for (size_t i = 0; i < count; ++i) {
      const AirMatmulArgs args = {&weights.matrices[i],  &x, y.data(), kRows,        0,
                                  kRows / AIR_TILE_ROWS, 0,  rows,     AIR_STORE_SET};
      table.matmul[weights.matrices[i].weight_class](&args);
    }
  });
}

void bench(const AirKernelTable& table) {
  for (const WeightKind& kind : kKinds) {
    const Weights weights = make_weights(kind);
    const double bytes = static_cast<double>(weights.matrices[0].tile_stride * (kRows / AIR_TILE_ROWS));
    double one_row = 0;
    for (const int64_t rows : kActivationRows) {
      const size_t count = rows <= 16 ? weights.matrices.size() : 1;
      const Timing all = measure(table, weights, count, rows);
      const double ms = all.median / double(count) * 1e3;  // one matrix
      const double operations = 2.0 * double(kRows) * double(kCols) * double(rows);
      if (rows == 1) one_row = ms;
      std::printf(
          "%-10s %-13s [%d, %d] rows %3d %8.3f ms [%.3f .. %.3f] %5.1f GB/s %6.1f GOPS %6.2f x one row\n",
          table.isa, kind.name, int(kRows), int(kCols), int(rows), ms, all.p10 / double(count) * 1e3,
          all.p90 / double(count) * 1e3, bytes / ms * 1e-6, operations / ms * 1e-6, ms / one_row);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  air_bench::print_machine();
  for (const AirKernelTable* table : air_bench::tables_to_measure(argc, argv)) bench(*table);
  return 0;
}
