// A minimal test runner: TEST(name) { CHECK(..); }. Each test binary has one main() from check_main.cc.
#ifndef AIR_TEST_NATIVE_CHECK_H_
#define AIR_TEST_NATIVE_CHECK_H_

#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace air_test {

// True under ThreadSanitizer and in an emulator, where everything takes ten times as long: tests that repeat
// themselves over many cases take a part of them there. Other builds run them all.
#if defined(__SANITIZE_THREAD__) || defined(AIR_EMULATED)
constexpr bool kIsSlow = true;
#else
constexpr bool kIsSlow = false;
#endif

struct TestCase {
  const char* name;
  void (*body)();
};

std::vector<TestCase>& registry();
// Records a failed check of the running test.
void report_failure(const char* file, int line, const std::string& what);

struct Registrar {
  Registrar(const char* name, void (*body)()) { registry().push_back({name, body}); }
};

template <typename A, typename B>
void check_equal(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream out;
  out << text << ": " << a << " != " << b;
  report_failure(file, line, out.str());
}

}  // namespace air_test

#define TEST(name)                                                         \
  static void air_test_##name();                                           \
  static air_test::Registrar air_registrar_##name(#name, air_test_##name); \
  static void air_test_##name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) air_test::report_failure(__FILE__, __LINE__, #condition); \
  } while (false)

#define CHECK_EQ(a, b) air_test::check_equal((a), (b), #a " == " #b, __FILE__, __LINE__)

// For messages that name the case of a table: CHECK_MSG(ok, "int4 rows=3 cols=32")
#define CHECK_MSG(condition, message)                                          \
  do {                                                                         \
    if (!(condition)) air_test::report_failure(__FILE__, __LINE__, (message)); \
  } while (false)

#endif  // AIR_TEST_NATIVE_CHECK_H_
