#include <cstdio>
#include <cstring>

#include "test/native/check.h"

namespace air_test {

static int failures_in_test = 0;

std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}

void report_failure(const char* file, int line, const std::string& what) {
  ++failures_in_test;
  if (failures_in_test <= 10) std::printf("  %s:%d: %s\n", file, line, what.c_str());
}

}  // namespace air_test

// usage: <test> [substring]   runs the tests whose name holds the substring
int main(int argc, char** argv) {
  int passed = 0;
  int failed = 0;
  for (const auto& test : air_test::registry()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    air_test::failures_in_test = 0;
    test.body();
    const bool ok = air_test::failures_in_test == 0;
    std::printf("%s %s\n", ok ? "ok  " : "FAIL", test.name);
    std::fflush(stdout);
    ++(ok ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
