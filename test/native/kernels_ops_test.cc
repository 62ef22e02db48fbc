// Quantisation, norm, activation, rope and KV writes: the reference against double precision, every ISA against
// the reference bit for bit.
#include "kernels/reference/scalar.h"
#include "test/native/kernel_cases.h"

namespace {

using namespace air_test;

struct Quantised {
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<int32_t> sums16;
};

Quantised quantize(const AirKernelTable& table, const std::vector<float>& x, int64_t rows, int64_t cols) {
  Quantised result = {std::vector<int8_t>(x.size()), std::vector<float>(x.size() / 32),
                      std::vector<int32_t>(x.size() / 16)};
  table.quantize_rows(x.data(), rows, cols, result.q.data(), result.scales.data(), result.sums16.data());
  return result;
}

// Groups of 32 of every kind: random at many magnitudes, zeros, tiny, subnormal, ties, not finite.
std::vector<float> quantize_input() {
  Random random(5);
  std::vector<float> x;
  const auto add_group = [&](auto value) {
    for (int i = 0; i < 32; ++i) x.push_back(value(i));
  };
  for (int exponent = -90; exponent <= 120; exponent += 7) {
    add_group([&](int) { return std::ldexp(random.uniform(), exponent); });
  }
  add_group([](int) { return 0.0f; });
  add_group([](int i) { return i == 7 ? -0.9e-30f : 0.0f; });
  add_group([](int) { return 1e-40f; });
  add_group([](int i) { return i == 0 ? 127.0f : static_cast<float>(i) + 0.5f; });
  add_group([](int i) { return i % 2 == 0 ? 3.0f : -3.0f; });
  add_group([](int i) { return i == 31 ? std::nanf("") : 1.0f; });
  add_group([](int i) { return i == 3 ? -INFINITY : 1.0f; });
  return x;
}

TEST(quantised_activations_stay_within_half_a_step) {
  const std::vector<float> x = quantize_input();
  const Quantised result = quantize(*air_kernels_reference(), x, 1, static_cast<int64_t>(x.size()));
  for (size_t g = 0; g < x.size() / 32; ++g) {
    double amax = 0;
    bool finite = true;
    int sums[2] = {0, 0};
    for (size_t i = 0; i < 32; ++i) {
      amax = std::fmax(amax, std::fabs(double(x[32 * g + i])));
      finite = finite && std::isfinite(x[32 * g + i]);
      sums[i / 16] += result.q[32 * g + i];
    }
    CHECK_EQ(result.sums16[2 * g], sums[0]);
    CHECK_EQ(result.sums16[2 * g + 1], sums[1]);
    CHECK(std::isnan(result.scales[g]) == !finite);
    if (!finite) continue;
    const double scale = amax < 1e-30 ? 0.0 : amax / 127;
    CHECK(std::fabs(double(result.scales[g]) - scale) <= 1e-7 * scale);
    for (size_t i = 0; i < 32; ++i) {
      const double error = std::fabs(double(x[32 * g + i]) - result.q[32 * g + i] * scale);
      // Half a step, plus the float32 rounding of x * inverse (|q| <= 127, so at most 127 * 2^-23 steps).
      CHECK(error <= 0.50002 * scale || scale == 0.0);
    }
  }
}

TEST(every_isa_quantises_like_the_reference) {
  const std::vector<float> x = quantize_input();
  const int64_t groups = static_cast<int64_t>(x.size()) / 32;
  for (const AirKernelTable* isa : vector_isas()) {
    const Quantised expected = quantize(*air_kernels_reference(), x, 1, groups * 32);
    const Quantised actual = quantize(*isa, x, groups, 32);
    CHECK_MSG(expected.q == actual.q, isa->isa);
    CHECK_MSG(same_bits(expected.scales, actual.scales), isa->isa);
    CHECK_MSG(expected.sums16 == actual.sums16, isa->isa);
  }
}

TEST(half_conversion_is_exact_and_rounds_to_nearest_even) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float value = air::reference::half_to_float(half);
    if ((half & 0x7c00) == 0x7c00 && (half & 1023) != 0) {
      CHECK(std::isnan(value) &&
            std::isnan(air::reference::half_to_float(air::reference::float_to_half(value))));
      continue;
    }
    CHECK(double(value) == half_value(half));
    CHECK_EQ(air::reference::float_to_half(value), half);
    if ((half & 0x7fff) >= 0x7bff) continue;
    const float next = air::reference::half_to_float(static_cast<uint16_t>(half + 1));
    const float middle = (value + next) / 2;  // exact in float32
    const uint16_t even = half % 2 == 0 ? half : static_cast<uint16_t>(half + 1);
    CHECK_EQ(air::reference::float_to_half(middle), even);
    CHECK_EQ(air::reference::float_to_half(std::nextafterf(middle, value)), half);
  }
  CHECK_EQ(air::reference::float_to_half(65519.9f), 0x7bff);
  CHECK_EQ(air::reference::float_to_half(65520.0f), 0x7c00);
}

TEST(exp_is_accurate_to_2e_7) {
  double worst = 0;
  for (double x = -87.3; x < 88.3; x += 0.00371) {
    const float argument = static_cast<float>(x);
    const double exact = std::exp(double(argument));
    worst = std::fmax(worst, std::fabs(double(air::reference::canonical_exp(argument)) - exact) / exact);
  }
  CHECK(worst < 2e-7);
  CHECK_EQ(air::reference::canonical_exp(0.0f), 1.0f);
  CHECK(std::isfinite(air::reference::canonical_exp(1000.0f)));
  CHECK(air::reference::canonical_exp(-1000.0f) > 0.0f);
  CHECK(std::isnan(air::reference::canonical_exp(std::nanf(""))));
}

const int64_t kRowLengths[] = {1, 7, 8, 15, 16, 17, 25, 33, 64, 576, 2048};

TEST(rms_norm_agrees_with_double_precision) {
  for (const int64_t cols : kRowLengths) {
    Random random(static_cast<uint64_t>(cols));
    const std::vector<float> x = random_floats(random, cols);
    const std::vector<float> weight = random_floats(random, cols);
    std::vector<float> y(x.size());
    air_kernels_reference()->rms_norm(x.data(), weight.data(), 1e-5f, cols, y.data());
    double sum = 0;
    for (const float value : x) sum += double(value) * double(value);
    const double inverse = 1 / std::sqrt(sum / double(cols) + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = double(x[i]) * inverse * double(weight[i]);
      CHECK(std::fabs(double(y[i]) - exact) <= 2e-6 * std::fabs(exact));  // up to 128 roundings per lane
    }
  }
}

TEST(every_isa_normalises_like_the_reference) {
  for (const AirKernelTable* isa : vector_isas()) {
    for (const int64_t cols : kRowLengths) {
      // Many inputs, because a wrong order of the sum often rounds to the same result.
      for (uint64_t seed = 1; seed <= 20; ++seed) {
        Random random(seed);
        const std::vector<float> x = random_floats(random, cols);
        const std::vector<float> weight = random_floats(random, cols);
        std::vector<float> expected(x.size());
        std::vector<float> actual(x.size());
        air_kernels_reference()->rms_norm(x.data(), weight.data(), 1e-5f, cols, expected.data());
        isa->rms_norm(x.data(), weight.data(), 1e-5f, cols, actual.data());
        CHECK_MSG(same_bits(expected, actual), std::string(isa->isa) + " rms_norm " + std::to_string(cols));
      }
    }
  }
}

TEST(silu_mul_agrees_with_double_precision_and_across_isas) {
  for (const int64_t count : kRowLengths) {
    Random random(static_cast<uint64_t>(count) + 100);
    std::vector<float> gate = random_floats(random, count);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= i % 5 == 0 ? 100.0f : 8.0f;
    const std::vector<float> up = random_floats(random, count);
    std::vector<float> expected(gate.size());
    air_kernels_reference()->silu_mul(gate.data(), up.data(), count, expected.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      const double exact = double(gate[i]) / (1 + std::exp(-double(gate[i]))) * double(up[i]);
      // exp's 2e-7 and three roundings; below 1e-30 the clamp of exp's argument shows.
      CHECK(std::fabs(double(expected[i]) - exact) <= 5e-7 * std::fabs(exact) + 1e-30);
    }
    for (const AirKernelTable* isa : vector_isas()) {
      std::vector<float> actual(gate.size());
      isa->silu_mul(gate.data(), up.data(), count, actual.data());
      CHECK_MSG(same_bits(expected, actual), std::string(isa->isa) + " silu_mul " + std::to_string(count));
    }
  }
}

struct RopeCase {
  const char* reason;
  int64_t heads, head_stride, rope_dims;
};

const RopeCase kRopeCases[] = {
    {"one pair", 1, 2, 2},
    {"fewer pairs than lanes", 3, 20, 14},
    {"whole registers", 4, 64, 64},
    {"a part rotates", 2, 96, 32},
    {"an odd number of pairs", 2, 50, 42},
    {"a wide head", 2, 256, 256},
    {"pairs spill by one", 1, 36, 34},
};

TEST(rope_agrees_with_double_precision_and_across_isas) {
  for (const RopeCase& c : kRopeCases) {
    for (const AirRopePairing pairing : {AIR_ROPE_INTERLEAVED, AIR_ROPE_HALF}) {
      Random random(77);
      const std::vector<float> x = random_floats(random, c.heads * c.head_stride);
      const int64_t pairs = c.rope_dims / 2;
      std::vector<float> cosines, sines;
      for (int64_t j = 0; j < pairs; ++j) {
        cosines.push_back(static_cast<float>(std::cos(0.7 * double(j + 1))));
        sines.push_back(static_cast<float>(std::sin(0.7 * double(j + 1))));
      }
      std::vector<float> expected = x;
      air_kernels_reference()->rope(expected.data(), c.heads, c.head_stride, c.rope_dims, cosines.data(),
                                    sines.data(), pairing);
      for (int64_t i = 0; i < c.heads * c.head_stride; ++i) {
        const int64_t d = i % c.head_stride;
        double exact = double(x[static_cast<size_t>(i)]);
        if (d < c.rope_dims) {
          const bool interleaved = pairing == AIR_ROPE_INTERLEAVED;
          const bool second = interleaved ? d % 2 == 1 : d >= pairs;
          const size_t j = static_cast<size_t>(interleaved ? d / 2 : d % pairs);
          const int64_t distance = interleaved ? 1 : pairs;
          const double other = double(x[static_cast<size_t>(second ? i - distance : i + distance)]);
          exact = exact * double(cosines[j]) + (second ? other : -other) * double(sines[j]);
        }
        CHECK_MSG(std::fabs(double(expected[static_cast<size_t>(i)]) - exact) <= 2e-7, c.reason);
      }
      for (const AirKernelTable* isa : vector_isas()) {
        std::vector<float> actual = x;
        isa->rope(actual.data(), c.heads, c.head_stride, c.rope_dims, cosines.data(), sines.data(), pairing);
        CHECK_MSG(same_bits(expected, actual), std::string(isa->isa) + " rope: " + c.reason);
      }
    }
  }
}

// Heads of every kind, indexed by token: random, zero, too small for a binary16 scale, huge, not finite.
std::vector<float> kv_head(Random& random, int64_t dims, int64_t token) {
  std::vector<float> x = random_floats(random, dims);
  if (token == 1) x.assign(x.size(), 0.0f);
  if (token == 2) x.assign(x.size(), 1e-7f);
  if (token == 3) {
    for (float& value : x) value *= 1e-4f;
  }
  if (token == 4) x[0] = 3e7f;
  if (token == 5) x[x.size() - 1] = std::nanf("");
  if (token == 9) x[1] = -3.0f;
  if (token == 12) x[2] = 3.0f, x[7] = -3.0f;
  if (token == 15) {
    for (float& value : x) value = std::ldexp(value, -22);  // as INT4 scales, the smallest binary16
  }
  return x;
}

TEST(kv_write_puts_a_token_where_the_format_says) {
  Random random(3);
  const AirKvLayout layout = kv_layout(64, 32, AIR_KV_INT8, AIR_KV_F16);
  AlignedBytes page(layout.member_bytes);
  const std::vector<float> key = random_floats(random, 64);
  const std::vector<float> value = random_floats(random, 64);
  const int64_t token = 21;
  air_kernels_reference()->kv_write(&layout, page.data(), token, key.data(), value.data());
  uint16_t half;
  std::memcpy(&half, page.data() + layout.key_scales_offset + 2 * token, 2);
  const double scale = half_value(half);
  for (int64_t d = 0; d < 64; ++d) {
    const uint8_t* stripe = page.data() + token / 16 * 16 * 64;
    const double q = static_cast<int8_t>(stripe[d / 4 * 64 + token % 16 * 4 + d % 4]);
    CHECK(std::fabs(q * scale - double(key[static_cast<size_t>(d)])) <= 0.5001 * scale);
    std::memcpy(&half, page.data() + layout.values_offset + 2 * (token * 64 + d), 2);
    const double error = std::fabs(half_value(half) - double(value[static_cast<size_t>(d)]));
    CHECK(error <= 0x1p-12);  // half a unit in the last place of a binary16 below 1
  }
}

// A group of 32 as Q4_0 has it: the value of largest magnitude is -8 times the scale.
TEST(int4_groups_are_written_where_and_how_the_format_says) {
  for (const bool is_key : {true, false}) {
    Random random(5);
    const AirKvLayout layout =
        kv_layout(96, 32, is_key ? AIR_KV_INT4 : AIR_KV_F16, is_key ? AIR_KV_F16 : AIR_KV_INT4);
    AlignedBytes page(layout.member_bytes, 0xee);
    std::vector<float> x = random_floats(random, 96);
    x[7] = -2.5f;  // of group 0
    x[40] = 1.75f, x[41] = -1.75f;
    const std::vector<float> other(96, 1.0f);
    const int64_t token = 21;
    air_kernels_reference()->kv_write(&layout, page.data(), token, is_key ? x.data() : other.data(),
                                      is_key ? other.data() : x.data());
    const int64_t scales = is_key ? layout.key_scales_offset : layout.value_scales_offset;
    for (int64_t d = 0; d < 96; ++d) {
      uint16_t half;
      std::memcpy(&half, page.data() + scales + 2 * (16 * 3 + d / 32 * 16 + token % 16), 2);
      const double scale = half_value(half);
      const int64_t byte = is_key ? 16 * 48 + d / 32 * 256 + d % 16 / 4 * 64 + token % 16 * 4 + d % 4
                                  : layout.values_offset + token * 48 + d / 32 * 16 + d % 16;
      const int q = (d % 32 < 16 ? page.data()[byte] & 15 : page.data()[byte] >> 4) - 8;
      const double steps = double(x[static_cast<size_t>(d)]) / scale;
      // On the other side of zero there are but 7 steps.
      CHECK(std::fabs(q - steps) <= (steps > 7 ? 1.001 : 0.501));
      if (d == 7) CHECK(q == -8 && scale > 0);
      if (d == 40) CHECK(q == -8 && scale < 0);
      if (d == 41) CHECK_EQ(q, 7);
    }
  }
}

TEST(every_isa_writes_the_same_pages_as_the_reference) {
  for (const AirKernelTable* isa : vector_isas()) {
    for (const int dims : {32, 64, 96, 128, 256}) {
      for (const int page_tokens : {16, 32}) {
        for (const AirKvType keys : kKvTypes) {
          for (const AirKvType values : kKvTypes) {
            Random random(9);
            const AirKvLayout layout = kv_layout(dims, page_tokens, keys, values);
            AlignedBytes expected(layout.member_bytes, 0xee);
            AlignedBytes actual(layout.member_bytes, 0xee);
            for (int64_t token = 0; token < page_tokens; token += token < 6 ? 1 : 3) {
              const std::vector<float> key = kv_head(random, dims, token);
              const std::vector<float> value = kv_head(random, dims, token);
              air_kernels_reference()->kv_write(&layout, expected.data(), token, key.data(), value.data());
              isa->kv_write(&layout, actual.data(), token, key.data(), value.data());
            }
            CHECK_MSG(expected == actual, std::string(isa->isa) + " kv_write D=" + std::to_string(dims));
          }
        }
      }
    }
  }
}

}  // namespace
