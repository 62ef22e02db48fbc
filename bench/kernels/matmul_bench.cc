// Speed of the matmul kernels against what the machine can do: GB/s of weights read and GOPS (2 operations per
// weight and row), as fractions of the read bandwidth and of the multipliers' ceiling measured in the same run.
// usage: matmul_bench [isa] [--threads N] [--json]
//
// Products are shared out among threads by the code that a forward pass uses (native/core/products.h). Up to 16
// rows go through 256 MB of weights, far more than any cache, so that few rows run from memory as decoding does.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bench/kernels/ceilings.h"
#include "bench/kernels/timing.h"
#include "native/core/bandwidth.h"
#include "native/core/products.h"

namespace {

using air_bench::Ceilings;
using air_bench::time_repeated;
using air_bench::Timing;

constexpr int64_t kMinBytes = 256 << 20;
constexpr int64_t kLayerRows = 512;
constexpr int64_t kActivationRows[] = {1, 2, 4, 8, 16, 64, kLayerRows};
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

struct Shape {
  int64_t outputs, k;
  int per_layer;  // matrices of this shape in a layer of a 1.1B model
};

// Down; query and output; key and value; gate and up. Every kind of weights is measured in the first shape, the
// first kind in every shape.
constexpr Shape kShapes[] = {{2048, 5632, 1}, {2048, 2048, 2}, {256, 2048, 2}, {5632, 2048, 2}};

struct FreeAligned {
  void operator()(uint8_t* data) const { std::free(data); }
};

// As many equal matrices as make kMinBytes.
struct Weights {
  std::unique_ptr<uint8_t, FreeAligned> bytes;
  std::vector<air::Linear> matrices;
  int64_t matrix_bytes;
};

Weights make_weights(const WeightKind& kind, const Shape& shape) {
  air::Linear linear;
  AirMatrix& m = linear.weight;
  m.rows = shape.outputs;
  m.cols = shape.k;
  m.mins_offset = kind.scale_group != 0 ? m.cols / kind.scale_group * 32 : 0;
  m.values_offset = m.mins_offset + (kind.has_min != 0 ? m.cols : 0);
  m.tile_stride = m.values_offset + m.cols * AIR_TILE_ROWS * kind.bits / 8;
  m.weight_class = kind.weight_class;
  m.scale_group = kind.scale_group;
  m.has_min = kind.has_min;
  Weights weights;
  weights.matrix_bytes = m.tile_stride * (m.rows / AIR_TILE_ROWS);
  const int64_t count = (kMinBytes + weights.matrix_bytes - 1) / weights.matrix_bytes;
  const auto bytes = static_cast<size_t>(weights.matrix_bytes * count);
  weights.bytes.reset(static_cast<uint8_t*>(std::aligned_alloc(64, bytes)));
  // Every binary16 becomes 0x2c2c, about 0.065: neither the speed nor the range depends on the values.
  std::memset(weights.bytes.get(), 0x2c, bytes);
  for (int64_t i = 0; i < count; ++i) {
    m.data = weights.bytes.get() + i * weights.matrix_bytes;
    weights.matrices.push_back(linear);
  }
  return weights;
}

// Activation rows of one product and room for its result.
struct Rows {
  Rows(const AirKernelTable& table, int64_t rows, const Shape& shape)
      : values(static_cast<size_t>(rows * shape.k), 0.5f),
        q(values.size()),
        scales(values.size() / 32),
        sums16(values.size() / 16),
        y(static_cast<size_t>(rows * shape.outputs)),
        x{values.data(), q.data(), scales.data(), sums16.data(), rows, shape.k} {
    table.quantize_rows(values.data(), rows, shape.k, q.data(), scales.data(), sums16.data());
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  std::vector<float> values;
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<int32_t> sums16;
  std::vector<float> y;
  AirActivations x;
};

struct Result {
  const char* isa;
  const char* kind;
  Shape shape;
  int64_t rows;
  Timing seconds;  // of one matrix
  double gbps, gops, bandwidth_fraction, ceiling_fraction;
};

// The seven products of a layer one after the other.
struct Layer {
  double seconds = 0, operations = 0, gops = 0, ceiling_fraction = 0;
};

struct IsaResults {
  const AirKernelTable* table;
  Ceilings ceilings;
  std::vector<Result> results;
  Layer layer;  // int4, kLayerRows rows
};

class Bench {
 public:
  Bench(int threads, bool quiet) : quiet_(quiet) {
    if (!pool_.start(threads).ok()) std::exit(1);
    if (!air::measure_read_bandwidth({1}, &one_thread_gbps_).ok()) std::exit(1);
    if (!air::measure_read_bandwidth({threads}, &gbps_).ok()) std::exit(1);
  }

  void run(const AirKernelTable& table);
  void print_heading() const;
  void print_json() const;

 private:
  Result measure(const IsaResults& isa, const WeightKind& kind, const Weights& weights, const Shape& shape,
                 int64_t rows);

  const bool quiet_;
  air::ThreadPool pool_;
  double one_thread_gbps_ = 0, gbps_ = 0;
  std::vector<IsaResults> isas_;
};

double ceiling_of(const Ceilings& ceilings, int32_t weight_class) {
  if (weight_class == AIR_WEIGHT_INT4) return ceilings.int4;
  return weight_class == AIR_WEIGHT_INT8 ? ceilings.int8 : ceilings.float32;
}

double fraction(double value, double ceiling) { return ceiling > 0 ? value / ceiling : 0; }

Result Bench::measure(const IsaResults& isa, const WeightKind& kind, const Weights& weights,
                      const Shape& shape, int64_t rows) {
  Rows activations(*isa.table, rows, shape);
  const size_t count = rows <= 16 ? weights.matrices.size() : 1;
  Timing seconds = time_repeated(kRepeats, [&] {
    pool_.run([&](air::Team& team) {
      for (size_t i = 0; i < count; ++i) {
        const air::Product product = {&weights.matrices[i], &activations.x, activations.y.data(),
                                      AIR_STORE_SET};
        air::multiply(team, *isa.table, rows, &product, 1);
      }
    });
  });
  for (double* part : {&seconds.median, &seconds.p10, &seconds.p90}) *part /= double(count);
  const double gbps = double(weights.matrix_bytes) / seconds.median * 1e-9;
  const double gops = 2e-9 * double(shape.outputs * shape.k * rows) / seconds.median;
  const double ceiling = ceiling_of(isa.ceilings, kind.weight_class);
  return {isa.table->isa, kind.name, shape, rows, seconds, gbps, gops, gbps / gbps_, fraction(gops, ceiling)};
}

void print(const Result& r) {
  std::printf(
      "%-10s %-13s [%4d, %4d] rows %3d %8.3f ms [%.3f .. %.3f] %5.1f GB/s %3.0f%% %6.1f GOPS %3.0f%%\n",
      r.isa, r.kind, int(r.shape.outputs), int(r.shape.k), int(r.rows), r.seconds.median * 1e3,
      r.seconds.p10 * 1e3, r.seconds.p90 * 1e3, r.gbps, r.bandwidth_fraction * 100, r.gops,
      r.ceiling_fraction * 100);
}

void Bench::run(const AirKernelTable& table) {
  IsaResults isa = {&table, air_bench::measure_ceilings(table.isa, pool_), {}, {}};
  const Ceilings& c = isa.ceilings;
  if (!quiet_) {
    std::printf("%-10s ceilings: int4 %.0f GOPS, int8 %.0f GOPS, float32 %.0f GFLOPS\n", table.isa, c.int4,
                c.int8, c.float32);
  }
  for (const WeightKind& kind : kKinds) {
    for (const Shape& shape : kShapes) {
      if (&kind != &kKinds[0] && &shape != &kShapes[0]) continue;
      const Weights weights = make_weights(kind, shape);
      for (const int64_t rows : kActivationRows) {
        const Result result = measure(isa, kind, weights, shape, rows);
        isa.results.push_back(result);
        if (!quiet_) print(result);
        if (&kind != &kKinds[0] || rows != kLayerRows) continue;
        isa.layer.seconds += result.seconds.median * shape.per_layer;
        isa.layer.operations += 2.0 * double(shape.outputs * shape.k * rows * shape.per_layer);
      }
    }
  }
  isa.layer.gops = isa.layer.operations / isa.layer.seconds * 1e-9;
  isa.layer.ceiling_fraction = fraction(isa.layer.gops, c.int4);
  if (!quiet_) {
    std::printf("%-10s layer of 1.1B, %s, rows %d: %.2f ms %.1f GOPS %.0f%%\n", table.isa, kKinds[0].name,
                int(kLayerRows), isa.layer.seconds * 1e3, isa.layer.gops, isa.layer.ceiling_fraction * 100);
  }
  isas_.push_back(std::move(isa));
}

void Bench::print_heading() const {
  std::printf("machine: %s; threads: %d; median [p10 .. p90]\n", air_bench::machine_name().c_str(),
              pool_.threads());
  std::printf("read bandwidth: %.1f GB/s by one thread, %.1f GB/s by all\n", one_thread_gbps_, gbps_);
  std::printf("percentages: of the read bandwidth by all threads, of the instruction set's ceiling\n");
}

void Bench::print_json() const {
  std::printf("{\"machine\": \"%s\", \"threads\": %d,\n", air_bench::machine_name().c_str(), pool_.threads());
  std::printf(" \"bandwidth\": {\"oneThreadGBps\": %.1f, \"readGBps\": %.1f},\n \"isas\": [",
              one_thread_gbps_, gbps_);
  const char* isa_separator = "";
  for (const IsaResults& isa : isas_) {
    const Ceilings& c = isa.ceilings;
    std::printf(
        "%s\n  {\"isa\": \"%s\", \"ceilings\": {\"int4\": %.1f, \"int8\": %.1f, \"float32\": %.1f},\n",
        isa_separator, isa.table->isa, c.int4, c.int8, c.float32);
    std::printf("   \"layer\": {\"rows\": %d, \"gops\": %.1f, \"ceilingFraction\": %.3f},\n   \"results\": [",
                int(kLayerRows), isa.layer.gops, isa.layer.ceiling_fraction);
    const char* separator = "";
    for (const Result& r : isa.results) {
      std::printf("%s\n    {\"weights\": \"%s\", \"outputs\": %d, \"k\": %d, \"rows\": %d, ", separator,
                  r.kind, int(r.shape.outputs), int(r.shape.k), int(r.rows));
      std::printf("\"ms\": {\"p10\": %.4f, \"p50\": %.4f, \"p90\": %.4f}, ", r.seconds.p10 * 1e3,
                  r.seconds.median * 1e3, r.seconds.p90 * 1e3);
      std::printf("\"GBps\": %.2f, \"bandwidthFraction\": %.3f, \"GOPS\": %.1f, \"ceilingFraction\": %.3f}",
                  r.gbps, r.bandwidth_fraction, r.gops, r.ceiling_fraction);
      separator = ",";
    }
    std::printf("]}");
    isa_separator = ",";
  }
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) json = true;
    if (std::strcmp(argv[i], "--threads") == 0 && i + 1 < argc) threads = std::max(1, std::atoi(argv[i + 1]));
  }
  Bench bench(threads, json);
  if (!json) bench.print_heading();
  for (const AirKernelTable* table : air_bench::tables_to_measure(argc, argv)) bench.run(*table);
  if (json) bench.print_json();
  return 0;
}
