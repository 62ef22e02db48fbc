// Matmul kernels: the reference against double precision, every ISA against the reference bit for bit, and
// every way of splitting rows and tiles against one call.
#include "test/native/kernel_cases.h"

namespace {

using namespace air_test;

enum class Fill { kRandom, kLowest, kHighest };

struct MatmulCase {
  const char* reason;
  AirWeightClass weight_class;
  int scale_group;
  bool has_min;
  int64_t rows, cols;
  Fill fill;
};

struct MatmulClass {
  AirWeightClass weight_class;
  int scale_group;
  bool has_min;
};

const MatmulClass kIntegerClasses[] = {{AIR_WEIGHT_INT4, 32, false},
                                       {AIR_WEIGHT_INT4, 32, true},
                                       {AIR_WEIGHT_INT8, 32, false},
                                       {AIR_WEIGHT_INT8, 32, true},
                                       {AIR_WEIGHT_INT8, 16, false}};
const MatmulClass kFloatClasses[] = {{AIR_WEIGHT_F16, 0, false}, {AIR_WEIGHT_F32, 0, false}};

std::vector<MatmulCase> matmul_cases() {
  std::vector<MatmulCase> cases;
  const auto add = [&](const char* reason, const MatmulClass& c, int64_t rows, int64_t cols, Fill fill) {
    cases.push_back({reason, c.weight_class, c.scale_group, c.has_min, rows, cols, fill});
  };
  for (const MatmulClass& c : kIntegerClasses) {
    add("one tile, one group of k", c, 16, 32, Fill::kRandom);
    add("a single output row", c, 1, 160, Fill::kRandom);
    add("rows fill half of the last tile", c, 40, 64, Fill::kRandom);
    add("rows end inside the first half of a tile", c, 37, 96, Fill::kRandom);
    add("rows end inside the second half of a tile", c, 29, 96, Fill::kRandom);
    add("long k, an odd number of groups", c, 33, 32 * 43, Fill::kRandom);
    add("lowest weights", c, 16, 128, Fill::kLowest);
    add("highest weights", c, 16, 128, Fill::kHighest);
  }
  add("k so long that a panel takes few rows", kIntegerClasses[0], 1, 65536, Fill::kRandom);
  for (const MatmulClass& c : kFloatClasses) {
    add("k = 1", c, 16, 1, Fill::kRandom);
    add("odd k", c, 17, 33, Fill::kRandom);
    add("a single output row", c, 1, 160, Fill::kRandom);
    add("rows end inside the second half of a tile", c, 30, 576, Fill::kRandom);
  }
  return cases;
}

std::string describe(const MatmulCase& c, const char* isa) {
  const char* names[] = {"int4", "int8", "f16", "f32"};
  return std::string(isa) + " " + names[c.weight_class] + (c.has_min ? " mins" : "") + " group " +
         std::to_string(c.scale_group) + " [" + std::to_string(c.rows) + ", " + std::to_string(c.cols) +
         "]: " + c.reason;
}

int64_t align64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

AirMatrix plan(const MatmulCase& c, AirLayout layout) {
  const bool integer = c.scale_group != 0;
  const int64_t scale_bytes = integer ? align64(c.cols / c.scale_group * 32) : 0;
  const int64_t min_bytes = c.has_min ? align64(c.cols) : 0;
  const int64_t bits[] = {4, 8, 16, 32};
  AirMatrix m = {};
  m.rows = c.rows;
  m.cols = c.cols;
  m.mins_offset = scale_bytes;
  m.values_offset = scale_bytes + min_bytes;
  m.tile_stride = m.values_offset + align64(c.cols * 16 * bits[c.weight_class] / 8);
  m.weight_class = c.weight_class;
  m.scale_group = c.scale_group;
  m.has_min = c.has_min ? 1 : 0;
  m.layout = layout;
  return m;
}

// A packed matrix with the exact value of every weight, which does not depend on the layout.
struct TestMatrix {
  AirMatrix matrix;
  AlignedBytes bytes;
  std::vector<double> dense;  // [rows, cols]

  TestMatrix(const MatmulCase& c, Random& random, AirLayout layout)
      : matrix(plan(c, layout)),
        bytes(matrix.tile_stride * ((c.rows + 15) / 16)),
        dense(static_cast<size_t>(c.rows * c.cols)) {
    matrix.data = bytes.data();
    for (int64_t row = 0; row < c.rows; ++row) {
      if (c.scale_group == 0) {
        fill_float_row(c, random, row);
      } else {
        fill_integer_row(c, random, row);
      }
    }
  }
  TestMatrix(const TestMatrix&) = delete;
  TestMatrix& operator=(const TestMatrix&) = delete;

 private:
  uint8_t* tile(int64_t row) { return bytes.data() + row / 16 * matrix.tile_stride; }

  static void put_half(uint8_t* section, int64_t index, uint16_t half) {
    std::memcpy(section + 2 * index, &half, sizeof half);
  }

  void fill_float_row(const MatmulCase& c, Random& random, int64_t row) {
    uint8_t* values = tile(row) + matrix.values_offset;
    for (int64_t k = 0; k < c.cols; ++k) {
      const int64_t at = k * 16 + row % 16;
      double& weight = dense[static_cast<size_t>(row * c.cols + k)];
      if (c.weight_class == AIR_WEIGHT_F16) {
        const uint16_t half = random_half(random, -6, -1, true);
        put_half(values, at, half);
        weight = half_value(half);
      } else {
        const float value = random.uniform();
        std::memcpy(values + 4 * at, &value, sizeof value);
        weight = double(value);
      }
    }
  }

  void put_quantised(const MatmulCase& c, int64_t row, int64_t k, int q) {
    uint8_t* values = tile(row) + matrix.values_offset;
    const int64_t lane = row % 16;
    const bool is_int8 = c.weight_class == AIR_WEIGHT_INT8;
    const int64_t row_bytes = is_int8 ? 32 : 16;  // of a group
    const int64_t b = k % row_bytes;
    uint8_t* group = values + k / 32 * 16 * row_bytes;
    uint8_t& byte = matrix.layout == AIR_LAYOUT_PAIRS
                        ? group[lane / 2 * 2 * row_bytes + b / 8 * 16 + lane % 2 * 8 + b % 8]
                        : group[b / 4 * 64 + lane * 4 + b % 4];
    if (is_int8) {
      byte = static_cast<uint8_t>(q);
      return;
    }
    const int nibble = matrix.layout == AIR_LAYOUT_PAIRS && !c.has_min ? (q - 8) & 15 : q;
    byte = static_cast<uint8_t>(byte | (k % 32 < 16 ? nibble : nibble << 4));
  }

  void fill_integer_row(const MatmulCase& c, Random& random, int64_t row) {
    const int low = c.weight_class == AIR_WEIGHT_INT4 ? 0 : -128;
    const int high = c.weight_class == AIR_WEIGHT_INT4 ? 15 : 127;
    const int zero_point = c.weight_class == AIR_WEIGHT_INT4 && !c.has_min ? 8 : 0;
    double scale = 0, min = 0;
    for (int64_t k = 0; k < c.cols; ++k) {
      if (k % c.scale_group == 0) {
        const uint16_t half = random_half(random, -9, -5, true);
        put_half(tile(row), k / c.scale_group * 16 + row % 16, half);
        scale = half_value(half);
      }
      if (c.has_min && k % 32 == 0) {
        const uint16_t half = random_half(random, -8, -4, true);
        put_half(tile(row) + matrix.mins_offset, k / 32 * 16 + row % 16, half);
        min = half_value(half);
      }
      const int q = c.fill == Fill::kLowest    ? low
                    : c.fill == Fill::kHighest ? high
                                               : random.between(low, high);
      put_quantised(c, row, k, q);
      dense[static_cast<size_t>(row * c.cols + k)] = scale * (q - zero_point) + min;
    }
  }
};

// Random rows, among them one of zeros and one of +-1, which quantises to +-127.
std::vector<float> activation_values(Random& random, int64_t rows, int64_t cols) {
  std::vector<float> x = random_floats(random, rows * cols);
  for (int64_t k = 0; k < cols; ++k) {
    if (rows > 1) x[static_cast<size_t>(cols + k)] = 0.0f;
    if (rows > 2) x[static_cast<size_t>(2 * cols + k)] = k % 3 == 0 ? -1.0f : 1.0f;
    if (rows > 3) x[static_cast<size_t>(3 * cols + k)] = 1.0f;
  }
  return x;
}

struct Range {
  int64_t begin, end;
};

// y keeps two guard columns on the right that no kernel may touch.
std::vector<float> multiply(const AirKernelTable& table, const TestMatrix& w, const Activations& x,
                            AirStore store, const std::vector<Range>& row_ranges,
                            const std::vector<Range>& tile_ranges) {
  const int64_t stride = w.matrix.rows + 2;
  std::vector<float> y(static_cast<size_t>(x.view.rows * stride), 0.75f);
  for (const Range& tiles : tile_ranges) {
    for (const Range& rows : row_ranges) {
      const AirMatmulArgs args = {&w.matrix, &x.view,    y.data(), stride, tiles.begin,
                                  tiles.end, rows.begin, rows.end, store};
      table.matmul[w.matrix.weight_class](&args);
    }
  }
  return y;
}

std::vector<float> multiply_whole(const AirKernelTable& table, const TestMatrix& w, const Activations& x,
                                  AirStore store) {
  return multiply(table, w, x, store, {{0, x.view.rows}}, {{0, (w.matrix.rows + 15) / 16}});
}

std::vector<Range> split(int64_t count, int64_t step) {
  std::vector<Range> ranges;
  for (int64_t i = 0; i < count; i += step) ranges.push_back({i, i + step < count ? i + step : count});
  return ranges;
}

// One rounding per addition, of at most 2048 additions in this table; random signs keep it far below that.
constexpr double kSumTolerance = 4e-6;

TEST(the_reference_matmul_agrees_with_double_precision) {
  for (const MatmulCase& c : matmul_cases()) {
    Random random(11);
    const TestMatrix w(c, random, AIR_LAYOUT_QUADS);
    const Activations x(activation_values(random, 5, c.cols), 5, c.cols);
    const std::vector<float> y = multiply_whole(*air_kernels_reference(), w, x, AIR_STORE_ADD);
    for (int64_t row = 0; row < 5; ++row) {
      for (int64_t n = 0; n < c.rows; ++n) {
        double expected = 0.75, magnitude = 1;
        for (int64_t k = 0; k < c.cols; ++k) {
          const size_t at = static_cast<size_t>(row * c.cols + k);
          const double x_k = c.scale_group != 0 ? x.dequantised(row, k) : double(x.values[at]);
          const double product = w.dense[static_cast<size_t>(n * c.cols + k)] * x_k;
          expected += product;
          magnitude += std::fabs(product);
        }
        const double error = std::fabs(double(y[static_cast<size_t>(row * (c.rows + 2) + n)]) - expected);
        CHECK_MSG(error <= kSumTolerance * magnitude, describe(c, "reference"));
      }
    }
  }
}

TEST(every_isa_multiplies_like_the_reference_bit_for_bit) {
  for (const AirKernelTable* isa : vector_isas()) {
    for (const MatmulCase& c : matmul_cases()) {
      Random random(23);
      Random same_random(23);
      const TestMatrix w(c, random, AIR_LAYOUT_QUADS);
      const TestMatrix isa_w(c, same_random, isa->layout);
      for (int64_t rows = 1; rows <= 13; ++rows) {
        const Activations x(activation_values(random, rows, c.cols), rows, c.cols);
        for (const AirStore store : {AIR_STORE_SET, AIR_STORE_ADD}) {
          const auto expected = multiply_whole(*air_kernels_reference(), w, x, store);
          const auto actual = multiply_whole(*isa, isa_w, x, store);
          CHECK_MSG(same_bits(expected, actual),
                    describe(c, isa->isa) + ", " + std::to_string(rows) + " rows");
        }
      }
    }
  }
}

TEST(a_row_does_not_depend_on_the_rows_and_tiles_beside_it) {
  const MatmulClass classes[] = {kIntegerClasses[0], kIntegerClasses[1], kIntegerClasses[2],
                                 kIntegerClasses[3], kIntegerClasses[4], kFloatClasses[0],
                                 kFloatClasses[1]};
  std::vector<const AirKernelTable*> tables = vector_isas();
  tables.push_back(air_kernels_reference());
  for (const AirKernelTable* isa : tables) {
    for (const MatmulClass& k : classes) {
      const MatmulCase c = {"splits", k.weight_class, k.scale_group, k.has_min, 71, 160, Fill::kRandom};
      Random random(37);
      const TestMatrix w(c, random, isa->layout);
      const Activations x(activation_values(random, 64, c.cols), 64, c.cols);
      const auto whole = multiply_whole(*isa, w, x, AIR_STORE_ADD);
      for (const int64_t batch : {1, 2, 3, 5, 8, 17, 64}) {
        for (const int64_t tiles : {1, 2, 5}) {
          const auto parts = multiply(*isa, w, x, AIR_STORE_ADD, split(64, batch), split(5, tiles));
          CHECK_MSG(same_bits(whole, parts), describe(c, isa->isa) + ", " + std::to_string(batch) + " rows");
        }
      }
    }
  }
}

TEST(float_matmul_needs_no_quantised_activations) {
  const MatmulCase c = {"q is null", AIR_WEIGHT_F16, 0, false, 20, 64, Fill::kRandom};
  std::vector<const AirKernelTable*> tables = vector_isas();
  tables.push_back(air_kernels_reference());
  for (const AirKernelTable* isa : tables) {
    Random random(41);
    const TestMatrix w(c, random, isa->layout);
    Activations x(activation_values(random, 3, c.cols), 3, c.cols);
    const auto expected = multiply_whole(*isa, w, x, AIR_STORE_SET);
    x.view.q = nullptr;
    x.view.scales = nullptr;
    x.view.sums16 = nullptr;
    CHECK_MSG(same_bits(expected, multiply_whole(*isa, w, x, AIR_STORE_SET)), describe(c, isa->isa));
  }
}

}  // namespace
