// Speed of the CUDA matmul kernels against what the device can do: GB/s of weights read and TFLOP/s, as fractions of
// the read bandwidth and of the matrix instructions' ceiling measured in the same run. Some results of each product
// are checked against double precision, so that a wrong kernel is not praised for being fast: it fails the run.
// usage: cuda_matmul_bench [--json] [--trial]
//
// Few rows go through matrices of 512 MB together, more than any L2 cache, so that they run from memory as decoding
// does. --trial: tiny matrices, for a run against the fake driver of the tests.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "bench/kernels/cuda_bench.h"
#include "kernels/cuda/launch/matmul.h"
#include "native/core/half.h"
#include "native/cuda/weights/device_matrix.h"
#include "test/native/support/unpack.h"

namespace {

using air::cuda::DeviceBuffer;
using air::cuda::DeviceMatrix;
using air::cuda::MatmulLaunch;
using air::cuda::MatmulParams;
using air_bench::require;

constexpr int64_t kMinBytes = int64_t{512} << 20;
constexpr int64_t kRowCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 512};
constexpr int64_t kMostRows = 512;
constexpr int64_t kRowsFromMemory = 32;  // more rows are bound by arithmetic: one matrix will do
constexpr int kChecked = 16;             // results of each product
// Of the sum of the products' magnitudes. Sums are of float32, cut off by the matrix instructions: 6e-8 at most in the
// emulator (k = 1088), more with k. A wrong index or scale is far above.
constexpr double kTolerance = 1e-4;

struct WeightKind {
  const char* name;
  int32_t weight_class, scale_group, has_min;
  int64_t bits;
};
constexpr WeightKind kKinds[] = {
    {"int4", AIR_WEIGHT_INT4, 32, 0, 4},          {"int4 mins", AIR_WEIGHT_INT4, 32, 1, 4},
    {"int8", AIR_WEIGHT_INT8, 32, 0, 8},          {"int8 mins", AIR_WEIGHT_INT8, 32, 1, 8},
    {"int8 group 16", AIR_WEIGHT_INT8, 16, 0, 8}, {"f16", AIR_WEIGHT_F16, 0, 0, 16}};

struct Shape {
  int64_t outputs, k;
};
// Every kind in the first shape, the first kind in every shape: attention, feed-forward of 7B and of 8B (gate and up
// stacked), 70B's attention; small ones.
constexpr Shape kShapes[] = {{4096, 4096}, {11008, 4096}, {4096, 11008}, {28672, 4096}, {4096, 14336},
                             {8192, 8192}, {1024, 4096},  {1024, 1024},  {2048, 2048}};
constexpr Shape kTrialShapes[] = {{64, 128}, {48, 1088}};

// One matrix in the CPU's format, of random values and scales of about 2^-7.
struct SourceMatrix {
  AirMatrix matrix{};
  std::vector<uint8_t> bytes;
};

SourceMatrix make_source(const WeightKind& kind, const Shape& shape) {
  SourceMatrix source;
  AirMatrix& m = source.matrix;
  m.rows = shape.outputs;
  m.cols = shape.k;
  m.mins_offset = kind.scale_group != 0 ? m.cols / kind.scale_group * 32 : 0;
  m.values_offset = m.mins_offset + (kind.has_min != 0 ? m.cols : 0);
  m.tile_stride = m.values_offset + m.cols * AIR_TILE_ROWS * kind.bits / 8;
  m.weight_class = kind.weight_class;
  m.scale_group = kind.scale_group;
  m.has_min = kind.has_min;
  source.bytes.resize(static_cast<size_t>(m.tile_stride * (m.rows / AIR_TILE_ROWS)));
  std::mt19937 random(1);
  for (int64_t tile = 0; tile < m.rows / AIR_TILE_ROWS; ++tile) {
    uint8_t* bytes = source.bytes.data() + tile * m.tile_stride;
    const int64_t halves = m.weight_class == AIR_WEIGHT_F16 ? m.tile_stride / 2 : m.values_offset / 2;
    for (int64_t i = 0; i < halves; ++i) {
      // Of float16 2^-8 .. 2^-6, mins and weights of float16 with either sign.
      const bool has_sign = m.weight_class == AIR_WEIGHT_F16 || i * 2 >= m.mins_offset;
      const auto bits = static_cast<uint32_t>(random());
      const auto half = static_cast<uint16_t>(0x1c00 | (bits & 0x7ff) | (has_sign ? bits & 0x8000 : 0));
      std::memcpy(bytes + 2 * i, &half, sizeof half);
    }
    for (int64_t i = 2 * halves; i < m.tile_stride; ++i) bytes[i] = static_cast<uint8_t>(random());
  }
  m.data = source.bytes.data();
  return source;
}

struct Result {
  const char* kind;
  Shape shape;
  int64_t rows;
  const char* kernel;
  double micros, gbps, tflops, bandwidth_fraction, ceiling_fraction, worst_error;
};

class MatmulBench {
 public:
  explicit MatmulBench(bool is_trial) : bench_(is_trial), ceilings_(bench_.measure_ceilings()) {
    const air::cuda::DeviceInfo& info = bench_.device();
    device_ = {info.multiprocessors, info.shared_bytes, info.shared_bytes_per_multiprocessor};
  }

  void run(const WeightKind& kind, const Shape& shape);
  void print(bool as_json) const;
  bool all_right() const;

 private:
  Result measure(const WeightKind& kind, const Shape& shape, int64_t rows);
  double worst_error(int64_t rows);

  air_bench::CudaBench bench_;
  const air_bench::CudaCeilings ceilings_;
  air::cuda::MatmulDevice device_;
  std::vector<Result> results_;
  // Of the shape at hand.
  SourceMatrix source_;
  DeviceMatrix matrix_;
  int64_t copies_ = 0;
  std::vector<uint16_t> x_;  // [kMostRows, k]
  DeviceBuffer device_weights_, device_x_, device_y_;
};

template <typename T>
T* pointer(air::cuda::DevicePointer address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

void MatmulBench::run(const WeightKind& kind, const Shape& shape) {
  source_ = make_source(kind, shape);
  const AirMatrix* sources[] = {&source_.matrix};
  require(plan_device_matrix(sources, 1, air::cuda::Arrangement::kStacked, &matrix_));
  std::vector<uint8_t> packed(static_cast<size_t>(matrix_.bytes));
  pack_device_tiles(matrix_, sources, 0, matrix_.tiles, packed.data());
  copies_ = bench_.is_trial() ? 2 : (kMinBytes + matrix_.bytes - 1) / matrix_.bytes;
  require(device_weights_.allocate(bench_.context(), copies_ * matrix_.bytes, "weights"));
  for (int64_t i = 0; i < copies_; ++i) {
    bench_.upload(device_weights_.address() + static_cast<uint64_t>(i * matrix_.bytes), packed.data(),
                  matrix_.bytes);
  }
  std::mt19937 random(2);
  x_.resize(static_cast<size_t>(kMostRows * shape.k));
  for (uint16_t& half : x_) half = air::float_to_half(static_cast<float>(random() % 2001) * 1e-3F - 1.0F);
  const auto x_bytes = static_cast<int64_t>(x_.size() * sizeof(uint16_t));
  require(device_x_.allocate(bench_.context(), x_bytes, "activations"));
  bench_.upload(device_x_.address(), x_.data(), x_bytes);
  require(device_y_.allocate(bench_.context(), kMostRows * shape.outputs * 4, "results"));
  for (const int64_t rows : kRowCounts) {
    if (bench_.is_trial() && rows > 64) break;
    results_.push_back(measure(kind, shape, rows));
  }
}

Result MatmulBench::measure(const WeightKind& kind, const Shape& shape, int64_t rows) {
  const MatmulLaunch launch =
      choose_matmul(matrix_.format, matrix_.tiles, matrix_.cols, static_cast<int32_t>(rows), device_);
  MatmulParams p{};
  p.x = pointer<const uint16_t>(device_x_.address());
  p.y = pointer<void>(device_y_.address());
  p.tile_stride = matrix_.tile_stride;
  p.outputs = matrix_.outputs;
  p.cols = matrix_.cols;
  p.tiles = matrix_.tiles;
  p.max_rows = static_cast<int32_t>(rows);
  p.x_stride = matrix_.cols;
  p.y_stride = matrix_.outputs;
  p.stages = launch.stages;
  const char* kernel = matmul_kernel_name(matrix_.format, launch.kernel);
  const int64_t count = rows <= kRowsFromMemory ? copies_ : std::min<int64_t>(copies_, 8);
  const double seconds = bench_.time([&]() -> air::Status {
    for (int64_t i = 0; i < count; ++i) {
      p.weights =
          pointer<const uint8_t>(device_weights_.address() + static_cast<uint64_t>(i * matrix_.bytes));
      AIR_RETURN_IF_ERROR(bench_.launcher().launch(kernel, launch.shape, p));
    }
    return {};
  }) / static_cast<double>(count);
  const double error = worst_error(rows);
  const double gbps = static_cast<double>(matrix_.bytes) * 1e-9 / seconds;
  const double tflops = 2e-12 * static_cast<double>(shape.outputs * shape.k * rows) / seconds;
  return {kind.name,
          shape,
          rows,
          kernel,
          seconds * 1e6,
          gbps,
          tflops,
          gbps / ceilings_.read_gbps,
          tflops / ceilings_.matrix_tflops,
          error};
}

// Of some results, relative to the sum of the products' magnitudes.
double MatmulBench::worst_error(int64_t rows) {
  const int64_t outputs = matrix_.outputs;
  std::vector<float> y(static_cast<size_t>(rows * outputs));
  bench_.download(y.data(), device_y_.address(), rows * outputs * 4);
  std::vector<float> weights(static_cast<size_t>(matrix_.cols));
  double worst = 0;
  for (int i = 0; i < kChecked; ++i) {
    const int64_t row = (rows - 1) * i / (kChecked - 1);
    const int64_t output = (outputs - 1) * ((i * 7) % kChecked) / (kChecked - 1);
    air_test::unpack_row(source_.matrix, output, weights.data());
    double expected = 0, magnitude = 0;
    for (int64_t k = 0; k < matrix_.cols; ++k) {
      const float x = air::half_to_float(x_[static_cast<size_t>(row * matrix_.cols + k)]);
      const double product = static_cast<double>(weights[static_cast<size_t>(k)]) * static_cast<double>(x);
      expected += product;
      magnitude += std::fabs(product);
    }
    const auto actual = static_cast<double>(y[static_cast<size_t>(row * outputs + output)]);
    worst = std::fmax(worst, std::fabs(actual - expected) / magnitude);
    if (std::isnan(actual)) return INFINITY;
  }
  return worst;
}

void MatmulBench::print(bool as_json) const {
  const char* heading =
      as_json ? "{\"bench\": \"matmul\", \"device\": \"%s\", \"read_gbps\": %.1f, \"copy_gbps\": %.1f, "
                "\"matrix_tflops\": %.2f, "
                "\"results\": [\n"
              : "device: %s; reads %.1f GB/s, copies %.1f GB/s, multiplies %.2f TFLOP/s (mma.m16n8k16)\n";
  std::printf(heading, bench_.device().name.c_str(), ceilings_.read_gbps, ceilings_.copy_gbps,
              ceilings_.matrix_tflops);
  for (size_t i = 0; i < results_.size(); ++i) {
    const Result& r = results_[i];
    const char* line =
        as_json ? "  {\"kind\": \"%s\", \"outputs\": %lld, \"k\": %lld, \"rows\": %lld, \"kernel\": \"%s\", "
                  "\"micros\": %.2f, \"gbps\": %.1f, \"bandwidth_fraction\": %.3f, \"tflops\": %.2f, "
                  "\"ceiling_fraction\": %.3f, \"worst_error\": %.2e}%s\n"
                : "%-14s %6lld x %-6lld rows %-4lld %-36s %9.2f us %8.1f GB/s (%.2f) %8.2f TFLOP/s (%.2f) "
                  "error %.1e%s\n";
    std::printf(line, r.kind, static_cast<long long>(r.shape.outputs), static_cast<long long>(r.shape.k),
                static_cast<long long>(r.rows), r.kernel, r.micros, r.gbps, r.bandwidth_fraction, r.tflops,
                r.ceiling_fraction, r.worst_error, as_json && i + 1 < results_.size() ? "," : "");
  }
  if (as_json) std::printf("]}\n");
}

bool MatmulBench::all_right() const {
  return std::all_of(results_.begin(), results_.end(),
                     [](const Result& r) { return r.worst_error <= kTolerance; });
}

}  // namespace

int main(int argc, char** argv) {
  const auto has = [&](const char* flag) {
    return std::any_of(argv + 1, argv + argc, [&](const char* text) { return std::strcmp(text, flag) == 0; });
  };
  const bool is_trial = has("--trial");
  MatmulBench bench(is_trial);
  const std::vector<Shape> shapes = is_trial
                                        ? std::vector<Shape>(std::begin(kTrialShapes), std::end(kTrialShapes))
                                        : std::vector<Shape>(std::begin(kShapes), std::end(kShapes));
  for (const Shape& shape : shapes) bench.run(kKinds[0], shape);
  for (const WeightKind& kind : kKinds) {
    if (&kind != &kKinds[0]) bench.run(kind, shapes[0]);
  }
  bench.print(has("--json"));
  if (!bench.all_right()) std::fprintf(stderr, "expected errors up to %.0e\n", kTolerance);
  return bench.all_right() ? 0 : 1;
}
