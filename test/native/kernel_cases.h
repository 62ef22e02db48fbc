// Shared by the kernel tests: which ISAs run here, seeded inputs, and packed matrices built straight from the
// layout that air_formats.h describes (independently of native/core's packer).
#ifndef AIR_TEST_NATIVE_KERNEL_CASES_H_
#define AIR_TEST_NATIVE_KERNEL_CASES_H_

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "test/native/check.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace air_test {

// The vector ISAs that this machine can run, worst first. AIR_REQUIRE_ISAS=1 turns a missing one into a failure.
inline std::vector<const AirKernelTable*> vector_isas() {
  std::vector<const AirKernelTable*> tables;
  const auto consider = [&](const char* name, bool usable, const AirKernelTable* table) {
    if (usable && table != nullptr) {
      tables.push_back(table);
      return;
    }
    std::printf("  skipped %s: this CPU lacks it\n", name);
    const char* required = std::getenv("AIR_REQUIRE_ISAS");
    if (required != nullptr && std::strcmp(required, "1") == 0) {
      report_failure(__FILE__, __LINE__, std::string(name) + " is required but this CPU lacks it");
    }
  };
#if defined(__x86_64__)
  // Every CPU with AVX2 has F16C, which clang's builtin cannot ask for.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  consider("avx2", avx2, air_kernels_avx2());
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool leaf = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0;
  consider("avxvnni", avx2 && leaf && (eax & 1u << 4) != 0, air_kernels_avxvnni());
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  consider("avx512vnni", avx512, air_kernels_avx512vnni());
#elif defined(__aarch64__)
  const bool dot_products = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  consider("neon", dot_products, air_kernels_neon());
  consider("neoni8mm", dot_products && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0, air_kernels_neoni8mm());
#else
  consider("vector kernels", false, nullptr);
#endif
  return tables;
}

// xorshift64*: the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint32_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545f4914f6cdd1du) >> 32);
  }
  int between(int low, int high) {  // both included
    return low + static_cast<int>(bits() % static_cast<uint32_t>(high - low + 1));
  }
  float uniform() { return static_cast<float>(bits()) * 0x1p-31f - 1.0f; }  // -1 .. 1

 private:
  uint64_t state_;
};

inline std::vector<float> random_floats(Random& random, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.uniform();
  return values;
}

// 64-byte aligned and exactly as long as asked for, so that a sanitizer sees an overrun.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t size, uint8_t fill = 0) : size_(static_cast<size_t>(size)) {
    data_.reset(static_cast<uint8_t*>(std::aligned_alloc(64, (size_ + 63) / 64 * 64)));
    std::memset(data_.get(), fill, size_);
  }
  AlignedBytes(const AlignedBytes& other) : AlignedBytes(static_cast<int64_t>(other.size_)) {
    std::memcpy(data_.get(), other.data_.get(), size_);
  }
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  bool operator==(const AlignedBytes& other) const {
    return size_ == other.size_ && std::memcmp(data_.get(), other.data_.get(), size_) == 0;
  }

 private:
  struct Free {
    void operator()(uint8_t* data) const { std::free(data); }
  };
  size_t size_;
  std::unique_ptr<uint8_t, Free> data_;
};

// Bit equality: a NaN equals itself, -0 differs from 0.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The value of a binary16 bit pattern, from its definition.
inline double half_value(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// A normal binary16 of magnitude 2^low .. 2^(high + 1), random sign when `is_signed`.
inline uint16_t random_half(Random& random, int low, int high, bool is_signed) {
  const int exponent = random.between(low, high) + 15;
  const int sign = is_signed ? random.between(0, 1) << 15 : 0;
  return static_cast<uint16_t>(sign | exponent << 10 | random.between(0, 1023));
}

// The sections of air_formats.h one after the other.
inline AirKvLayout kv_layout(int dims, int page_tokens, AirKvType keys, AirKvType values) {
  const auto half_bytes = [](AirKvType type) {
    return type == AIR_KV_INT4 ? 1 : type == AIR_KV_INT8 ? 2 : 4;
  };
  const auto scales = [&](AirKvType type) { return type == AIR_KV_INT4 ? dims / 32 : 1; };
  const int64_t elements = int64_t(dims) * page_tokens;
  const int64_t key_bytes = elements * half_bytes(keys) / 2;
  const int64_t value_bytes = elements * half_bytes(values) / 2;
  AirKvLayout layout = {page_tokens, dims, keys, values, key_bytes, key_bytes + value_bytes, 0, 0};
  layout.value_scales_offset = layout.key_scales_offset + 2 * page_tokens * scales(keys);
  layout.member_bytes = (layout.value_scales_offset + 2 * page_tokens * scales(values) + 63) / 64 * 64;
  return layout;
}

inline const char* kv_type_name(AirKvType type) {
  return type == AIR_KV_INT4 ? "int4" : type == AIR_KV_INT8 ? "int8" : "f16";
}

constexpr AirKvType kKvTypes[] = {AIR_KV_INT8, AIR_KV_F16, AIR_KV_INT4};

// float32 rows with their quantised form, made by the reference kernel.
struct Activations {
  std::vector<float> values;
  std::vector<int8_t> q;
  std::vector<float> scales;
  std::vector<int32_t> sums16;
  AirActivations view;

  Activations(std::vector<float> x, int64_t rows, int64_t cols) : values(std::move(x)), view() {
    view.values = values.data();
    view.rows = rows;
    view.cols = cols;
    if (cols % AIR_GROUP != 0) return;
    q.resize(static_cast<size_t>(rows * cols));
    scales.resize(static_cast<size_t>(rows * cols / AIR_GROUP));
    sums16.resize(static_cast<size_t>(rows * cols / 16));
    air_kernels_reference()->quantize_rows(values.data(), rows, cols, q.data(), scales.data(), sums16.data());
    view.q = q.data();
    view.scales = scales.data();
    view.sums16 = sums16.data();
  }
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  // What an integer kernel sees of x[row, k].
  double dequantised(int64_t row, int64_t k) const {
    const int64_t at = row * view.cols + k;
    return double(q[size_t(at)]) * double(scales[size_t(at / AIR_GROUP)]);
  }
};

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_KERNEL_CASES_H_
