// Keys and queries times a Hadamard matrix: the transform itself, and a decoder that scores with it.
#include "native/core/hadamard.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "native/core/isa.h"
#include "test/native/kernel_cases.h"
#include "test/native/support/tiny_engine.h"
#include "test/native/support/tiny_model.h"

namespace {

using air_test::Engine;
using air_test::EngineOptions;
using air_test::make_batch;
using air_test::make_engine;
using air_test::TinyModel;
using air_test::TinyOptions;

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
  return sum;
}

// Root mean square of the error of a decoder's logits against the naive one, over that of the logits.
double relative_error(const TinyModel& tiny, const EngineOptions& options, int64_t chunk) {
  const auto tokens = air_test::random_tokens(40, tiny.spec.vocab_size);
  Engine engine = make_engine(tiny, air_test::best_kernels(), options);
  const auto naive = air_test::naive_logits(tiny, tokens);
  double errors = 0, squares = 0;
  size_t at = 0;
  for (int64_t begin = 0; begin < 40; begin += chunk) {
    for (const float logit : air_test::run(engine, make_batch(engine, tokens, {{0, begin, begin + chunk}}))) {
      errors += (double(logit) - naive[at]) * (double(logit) - naive[at]);
      squares += naive[at] * naive[at];
      ++at;
    }
  }
  return std::sqrt(errors / squares);
}

}  // namespace

TEST(the_transform_is_the_normalised_hadamard_matrix_of_each_block) {
  const struct {
    int64_t dims, block;
  } cases[] = {{32, 32}, {64, 64}, {96, 32}, {128, 128}, {160, 32}, {192, 64}, {256, 256}};
  for (const auto& c : cases) {
    air_test::Random random(static_cast<uint64_t>(c.dims));
    const std::vector<float> x = air_test::random_floats(random, c.dims);
    std::vector<float> y = x;
    air::hadamard_transform(y.data(), c.dims);
    for (int64_t row = 0; row < c.dims; ++row) {
      double exact = 0;
      for (int64_t col = 0; col < c.block; ++col) {
        // The sign of Sylvester's matrix is the parity of the bits that row and column share.
        const bool is_negative = __builtin_parityll(static_cast<uint64_t>(row % c.block & col)) != 0;
        const double value = double(x[static_cast<size_t>(row / c.block * c.block + col)]);
        exact += is_negative ? -value : value;
      }
      exact /= std::sqrt(double(c.block));
      CHECK_MSG(std::fabs(double(y[static_cast<size_t>(row)]) - exact) < 2e-6, std::to_string(c.dims));
    }
  }
}

TEST(the_transform_keeps_dot_products_and_spreads_an_outlier) {
  air_test::Random random(3);
  std::vector<float> a = air_test::random_floats(random, 128), b = air_test::random_floats(random, 128);
  const double before = dot(a, b);
  air::hadamard_transform(a.data(), 128);
  air::hadamard_transform(b.data(), 128);
  CHECK(std::fabs(dot(a, b) - before) < 1e-5);
  std::vector<float> outlier(128, 0.0f);
  outlier[77] = 16.0f;
  air::hadamard_transform(outlier.data(), 128);
  for (const float value : outlier) CHECK(std::fabs(std::fabs(value) - 16.0f / std::sqrt(128.0f)) < 1e-5f);
}

TEST(a_decoder_with_rotated_keys_computes_the_same_model) {
  TinyOptions padded;
  padded.head_dim = padded.rope_dims = 40;  // 64 when padded
  TinyOptions odd;
  odd.head_dim = odd.rope_dims = 96;
  for (const TinyOptions& tiny_options : {TinyOptions(), padded, odd}) {
    const TinyModel tiny = air_test::make_tiny_model(tiny_options);
    EngineOptions options;
    options.rotate_keys = true;
    const std::string what = "head_dim " + std::to_string(tiny_options.head_dim);
    CHECK_MSG(relative_error(tiny, options, 40) < 1e-3, what);  // float16 pages
    options.kv_type = AIR_KV_INT4;
    const double error = relative_error(tiny, options, 8);
    CHECK_MSG(error < 0.2, what + ", int4: " + std::to_string(error));
  }
}

TEST(rotated_keys_give_the_same_bits_in_any_chunk_on_every_isa) {
  TinyOptions tiny_options;
  const auto tokens = air_test::random_tokens(60, tiny_options.vocab_size);
  for (const AirKvType kv_type : air_test::kKvTypes) {
    std::vector<float> expected;
    for (const AirKernelTable* kernels : air::usable_kernels()) {
      tiny_options.layout = kernels->layout;
      const TinyModel tiny = air_test::make_tiny_model(tiny_options);
      for (const int64_t chunk : {60, 7, 1}) {
        EngineOptions options;
        options.kv_type = kv_type;
        options.rotate_keys = true;
        Engine engine = make_engine(tiny, kernels, options);
        std::vector<float> logits;
        for (int64_t begin = 0; begin < 60; begin += chunk) {
          const auto part = air_test::run(
              engine, make_batch(engine, tokens, {{0, begin, std::min<int64_t>(begin + chunk, 60)}}));
          logits.insert(logits.end(), part.begin(), part.end());
        }
        if (expected.empty()) expected = logits;
        CHECK_MSG(air_test::same_bits(expected, logits), std::string(kernels->isa) + ", " +
                                                             air_test::kv_type_name(kv_type) +
                                                             ", chunks of " + std::to_string(chunk));
      }
    }
  }
}
