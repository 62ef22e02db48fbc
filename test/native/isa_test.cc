// Which kernels are offered and chosen. The CPU's features are asked for a second time by kernel_cases.h.
#include "native/core/isa.h"

#include "test/native/kernel_cases.h"

namespace {

using air::select_kernels;
using air::usable_kernels;

class ForcedIsa {
 public:
  explicit ForcedIsa(const char* name) { setenv("AIR_FORCE_ISA", name, 1); }
  ~ForcedIsa() { unsetenv("AIR_FORCE_ISA"); }
};

}  // namespace

TEST(offers_what_the_cpu_can_run_best_first_and_the_reference_last) {
  std::vector<const AirKernelTable*> expected = air_test::vector_isas();  // worst first
  expected.insert(expected.begin(), air_kernels_reference());
  CHECK((std::vector<const AirKernelTable*>{expected.rbegin(), expected.rend()} == usable_kernels()));
}

TEST(chooses_the_best_unless_another_is_forced) {
  const AirKernelTable* chosen = nullptr;
  unsetenv("AIR_FORCE_ISA");
  CHECK(select_kernels(&chosen).ok() && chosen == usable_kernels().front());
  for (const AirKernelTable* table : usable_kernels()) {
    const ForcedIsa forced(table->isa);
    CHECK_MSG(select_kernels(&chosen).ok() && chosen == table, table->isa);
  }
}

TEST(refuses_to_force_what_the_cpu_lacks) {
  for (const char* name : {"avx2", "avxvnni", "avx512vnni", "neon", "neoni8mm", "no-such-isa"}) {
    bool usable = false;
    for (const AirKernelTable* table : usable_kernels()) usable |= std::strcmp(name, table->isa) == 0;
    const ForcedIsa forced(name);
    const AirKernelTable* chosen = nullptr;
    const air::Status status = select_kernels(&chosen);
    CHECK_MSG(status.ok() == usable, name);
    CHECK_MSG(usable || (status.code() == air::StatusCode::kUnsupported && chosen == nullptr), name);
  }
}
