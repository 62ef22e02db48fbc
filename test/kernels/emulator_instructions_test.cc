// Single instructions of the emulator (or of a real device) against their definitions, computed here in another way.
#include <cmath>
#include <random>
#include <vector>

#include "native/core/half.h"
#include "test/kernels/probes/instructions.h"
#include "test/kernels/support/device_array.h"
#include "test/native/check.h"

using air::cuda::LaunchShape;
using air_test::DeviceArray;

namespace {

// Holds products and sums of halves without rounding.
using Exact = __float128;

LaunchShape one_warp(uint32_t shared_bytes) {
  LaunchShape shape;
  shape.threads = 32;
  shape.shared_bytes = shared_bytes;
  return shape;
}

std::vector<uint16_t> random_halves(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal;
  std::vector<uint16_t> values(count);
  for (auto& value : values) value = air::float_to_half(normal(random));
  return values;
}

// The largest difference of the kernel's d from a b + d, relative to the sum of magnitudes of that element.
double worst_error(int32_t loading) {
  std::mt19937 random(7);
  std::vector<uint16_t> a = random_halves(random, 256);
  std::vector<uint16_t> b = random_halves(random, 128);
  std::vector<float> d(128);
  for (auto& value : d) value = static_cast<float>(random() % 1000) / 100.0f;
  std::vector<uint16_t> stored_a = a;
  std::vector<uint16_t> stored_b = b;
  if (loading == probe::kTransposed) {
    for (size_t row = 0; row < 16; ++row)
      for (size_t k = 0; k < 16; ++k) stored_a[k * 16 + row] = a[row * 16 + k];
    for (size_t column = 0; column < 8; ++column)
      for (size_t k = 0; k < 16; ++k) stored_b[k * 8 + column] = b[column * 16 + k];
  }
  DeviceArray<uint16_t> device_a("a", stored_a);
  DeviceArray<uint16_t> device_b("b", stored_b);
  DeviceArray<float> device_d("d", d, air_test::WritableArray<float>());
  CHECK_LAUNCH(probe_multiply_half, one_warp(768), device_a.data(), device_b.data(), device_d.data(),
               loading);
  const std::vector<float> out = device_d.download();
  double worst = 0;
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      double sum = d[row * 8 + column];
      double magnitude = std::fabs(sum);
      for (size_t k = 0; k < 16; ++k) {
        const double product = static_cast<double>(air::half_to_float(a[row * 16 + k])) *
                               static_cast<double>(air::half_to_float(b[column * 16 + k]));
        sum += product;
        magnitude += std::fabs(product);
      }
      worst = std::max(worst, std::fabs(out[row * 8 + column] - sum) / magnitude);
    }
  }
  return worst;
}

bool half_is_nan(uint16_t half) { return (half & 0x7fffu) > 0x7c00u; }

// Whether `half` is the exact value rounded to nearest even: no neighbour is nearer, and a tie went to the even one.
bool is_rounded(uint16_t half, Exact exact) {
  const auto value = [](uint16_t bits) -> Exact {
    // Infinity counts as the next step after 65504, which is where rounding to it begins.
    const uint16_t magnitude = bits & 0x7fffu;
    const Exact v = magnitude == 0x7c00u ? Exact(65536.0) : Exact(air::half_to_float(magnitude));
    return (bits & 0x8000u) != 0 ? -v : v;
  };
  const auto distance = [&](uint16_t bits) {
    const Exact d = exact - value(bits);
    return d < 0 ? -d : d;
  };
  const Exact own = distance(half);
  const uint16_t sign = half & 0x8000u;
  const uint16_t magnitude = half & 0x7fffu;
  for (const int step : {-1, 1}) {
    const int other = magnitude + step;
    if (other < 0 || other > 0x7c00) continue;
    const Exact theirs = distance(static_cast<uint16_t>(sign | other));
    if (theirs < own && !(magnitude == 0x7c00u && exact * (sign != 0 ? -1 : 1) > 65536)) return false;
    if (theirs == own && (magnitude & 1) != 0) return false;
  }
  return true;
}

void check_half(uint32_t word, int shift, Exact exact, bool is_nan, const char* what) {
  const auto half = static_cast<uint16_t>(word >> shift);
  if (is_nan) {
    CHECK_MSG(half == 0x7fff, std::string(what) + " of a NaN");
  } else {
    CHECK_MSG(is_rounded(half, exact), what);
  }
}

}  // namespace

// Every addend may be cut off at 2^-23 of the largest one, and there are nine of them: 2^-20 of the sum of magnitudes.
TEST(matrices_of_halves_are_multiplied) {
  CHECK(worst_error(probe::kByIndex) < 0x1p-20);
  CHECK(worst_error(probe::kByMatrices) < 0x1p-20);
  CHECK(worst_error(probe::kTransposed) < 0x1p-20);
}

TEST(a_wrong_fragment_index_is_seen) { CHECK(worst_error(probe::kWrongIndex) > 1e-3); }

TEST(matrices_of_bytes_are_multiplied_exactly) {
  std::mt19937 random(8);
  std::vector<uint32_t> a(16 * 8), b(8 * 8);
  for (auto& word : a) word = static_cast<uint32_t>(random());
  for (auto& word : b) word = static_cast<uint32_t>(random());
  const std::vector<int32_t> d(16 * 8, 12345);
  DeviceArray<uint32_t> device_a("a", a);
  DeviceArray<uint32_t> device_b("b", b);
  DeviceArray<int32_t> device_d("d", d, air_test::WritableArray<int32_t>());
  CHECK_LAUNCH(probe_multiply_int8, one_warp(0), device_a.data(), device_b.data(), device_d.data());
  const std::vector<int32_t> out = device_d.download();
  const auto* bytes_a = reinterpret_cast<const int8_t*>(a.data());
  const auto* bytes_b = reinterpret_cast<const int8_t*>(b.data());
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      int32_t sum = 12345;
      for (size_t k = 0; k < 32; ++k) sum += bytes_a[row * 32 + k] * bytes_b[column * 32 + k];
      CHECK_EQ(out[row * 8 + column], sum);
    }
  }
}

TEST(shuffles_and_votes) {
  DeviceArray<uint32_t> device_out("out", 32 * probe::kShuffleResults);
  CHECK_LAUNCH(probe_shuffles, one_warp(0), device_out.data());
  const std::vector<uint32_t> out = device_out.download();
  uint32_t thirds = 0;
  for (uint32_t lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t* results = out.data() + lane * probe::kShuffleResults;
    CHECK_EQ(results[0], 100 + lane * 3 % 32);
    CHECK_EQ(results[1], 100 + (lane ^ 5));
    CHECK_EQ(results[2], 100 + (lane < 28 ? lane + 4 : lane));
    CHECK_EQ(results[3], 100 + (lane >= 4 ? lane - 4 : lane));
    CHECK_EQ(results[4], thirds);
    CHECK_EQ(results[5], 0b0101u);
    CHECK_EQ(results[6], lane < 16 ? 0x5555u : 0u);
    CHECK_EQ(results[7], lane < 16 ? 0u : 16 + (lane + 1) % 16);
  }
}

TEST(bits_and_halves) {
  constexpr int32_t kCount = 4000;
  std::mt19937 random(9);
  std::vector<uint32_t> a(kCount), b(kCount), c(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    a[i] = static_cast<uint32_t>(random());
    b[i] = static_cast<uint32_t>(random());
    c[i] = static_cast<uint32_t>(random());
    // Near to each other, where one rounding and two differ; and the specials.
    if (i % 4 == 1) b[i] = (a[i] & 0xfc00fc00u) | (b[i] & 0x03ff03ffu);
    if (i % 64 == 2) a[i] = 0x7c008000u;
    if (i % 64 == 3) b[i] = 0xfc000001u;
    if (i % 64 == 5) c[i] = 0x7e0003ffu;
  }
  DeviceArray<uint32_t> device_a("a", a);
  DeviceArray<uint32_t> device_b("b", b);
  DeviceArray<uint32_t> device_c("c", c);
  DeviceArray<uint32_t> device_out("out", static_cast<size_t>(kCount) * probe::kBitResults);
  LaunchShape shape;
  shape.threads = 64;
  shape.grid_x = (kCount + 63) / 64;
  CHECK_LAUNCH(probe_bits, shape, device_a.data(), device_b.data(), device_c.data(), device_out.data(),
               kCount);
  const std::vector<uint32_t> out = device_out.download();
  for (size_t i = 0; i < kCount; ++i) {
    const uint32_t* results = out.data() + i * probe::kBitResults;
    CHECK_EQ(results[0], (a[i] & b[i]) | c[i]);
    CHECK_EQ(results[1], a[i] ^ (b[i] & c[i]));
    uint32_t dot = c[i];
    for (int byte = 0; byte < 32; byte += 8) {
      const uint32_t selected = c[i] >> byte / 2 & 7;
      const uint32_t from = selected < 4 ? a[i] >> 8 * selected : b[i] >> 8 * (selected - 4);
      CHECK_EQ(results[2] >> byte & 0xffu, from & 0xffu);
      dot += static_cast<uint32_t>(static_cast<int8_t>(a[i] >> byte) * static_cast<int8_t>(b[i] >> byte));
    }
    CHECK_EQ(results[3], dot);
    for (int shift = 0; shift < 32; shift += 16) {
      const auto half_a = static_cast<uint16_t>(a[i] >> shift);
      const auto half_b = static_cast<uint16_t>(b[i] >> shift);
      const auto half_c = static_cast<uint16_t>(c[i] >> shift);
      const auto special = [](uint16_t h) { return (h & 0x7c00u) == 0x7c00u; };
      if (special(half_a) || special(half_b) || special(half_c)) {
        const float fa = air::half_to_float(half_a), fb = air::half_to_float(half_b),
                    fc = air::half_to_float(half_c);
        const auto as_float = [&](uint32_t word) {
          return air::half_to_float(static_cast<uint16_t>(word >> shift));
        };
        const auto same = [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); };
        if (special(half_a) || special(half_b)) {
          CHECK(same(as_float(results[4]), fa + fb));
          CHECK(same(as_float(results[6]), fa * fb) || std::isinf(as_float(results[6])));
        }
        CHECK_EQ(half_is_nan(static_cast<uint16_t>(results[7] >> shift)), std::isnan(fa * fb + fc));
        continue;
      }
      const Exact ea = air::half_to_float(half_a);
      const Exact eb = air::half_to_float(half_b);
      const Exact ec = air::half_to_float(half_c);
      check_half(results[4], shift, ea + eb, false, "add_halves");
      check_half(results[5], shift, ea - eb, false, "sub_halves");
      check_half(results[6], shift, ea * eb, false, "mul_halves");
      check_half(results[7], shift, ea * eb + ec, false, "fma_halves");
    }
    float high;
    std::memcpy(&high, &b[i], sizeof high);
    CHECK_EQ(results[8] >> 16, std::isnan(high) ? 0x7fffu : air::float_to_half(high));
  }
}
