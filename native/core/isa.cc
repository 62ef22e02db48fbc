#include "native/core/isa.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <string>

#include "native/core/weights/pack.h"

namespace air {

namespace {

#if defined(__x86_64__)
// F16C came before AVX2 and FMA, but a virtual machine can mask it. Clang 14's __builtin_cpu_supports does not
// know it.
bool converts_binary16() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// AVX-VNNI: leaf 7, subleaf 1, EAX bit 4. Clang 14's __builtin_cpu_supports does not know it either.
bool multiplies_bytes() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1u << 4) != 0;
}
#endif

}  // namespace

const std::vector<const AirKernelTable*>& usable_kernels() {
  static const std::vector<const AirKernelTable*> tables = [] {
    std::vector<const AirKernelTable*> usable;
#if defined(__x86_64__)
    // __builtin_cpu_supports also asks XGETBV whether the operating system saves the registers.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni")) {
      usable.push_back(air_kernels_avx512vnni());
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && converts_binary16()) {
      if (multiplies_bytes()) usable.push_back(air_kernels_avxvnni());
      usable.push_back(air_kernels_avx2());
    }
#elif defined(__aarch64__) && defined(__linux__)
    // Dot products of int8 came with ARMv8.2, their matrix products with ARMv8.6; conversions of binary16 are in
    // every 64-bit ARM.
    if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) {
      if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) usable.push_back(air_kernels_neoni8mm());
      usable.push_back(air_kernels_neon());
    }
#endif
    usable.push_back(air_kernels_reference());
    return usable;
  }();
  return tables;
}

Status select_kernels(const AirKernelTable** kernels) {
  const auto& usable = usable_kernels();
  const char* forced = std::getenv("AIR_FORCE_ISA");
  if (forced == nullptr || *forced == '\0') {
    *kernels = usable.front();
    return {};
  }
  std::string names;
  for (const AirKernelTable* table : usable) {
    if (std::string(forced) == table->isa) {
      *kernels = table;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(table->isa);
  }
  return {StatusCode::kUnsupported,
          "expected one of " + names + " for AIR_FORCE_ISA but received \"" + forced + "\""};
}

Status select_kernels(AirLayout layout, const AirKernelTable** kernels) {
  AIR_RETURN_IF_ERROR(select_kernels(kernels));
  if ((*kernels)->layout == layout) return {};
  const char* forced = std::getenv("AIR_FORCE_ISA");
  for (const AirKernelTable* table : usable_kernels()) {
    if ((forced != nullptr && *forced != '\0') || table->layout != layout) continue;
    *kernels = table;
    return {};
  }
  return {StatusCode::kUnsupported,
          std::string("expected an instruction set that reads ") + layout_name(layout) +
              " weights for layers beside a CUDA device but received " + (*kernels)->isa};
}

}  // namespace air
