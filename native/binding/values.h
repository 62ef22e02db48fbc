// From JS values to core's types and back. Everything from JS is checked here or in core; nothing is trusted.
#ifndef AIR_BINDING_VALUES_H_
#define AIR_BINDING_VALUES_H_

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "native/core/status.h"

namespace air::binding {

constexpr int64_t kMaxThreads = 1024;  // that a caller may ask for

// A JS Error with the status's code and message; lib/native/wrap.ts makes it an AirNativeError.
Napi::Error to_error(Napi::Env env, const Status& status);

[[noreturn]] void throw_status(Napi::Env env, const Status& status);
[[noreturn]] void throw_argument(Napi::Env env, const std::string& expected, const std::string& name,
                                 const Napi::Value& received);

inline void throw_if_error(Napi::Env env, const Status& status) {
  if (!status.ok()) throw_status(env, status);
}

// A short rendering of a value for messages.
std::string describe(const Napi::Value& value);

// Each throws AIR_ERR_ARGUMENT "expected .. for <name> but received ..".
Napi::Object get_object(const Napi::Value& value, const std::string& name);
int64_t to_integer(const Napi::Value& value, const std::string& name, int64_t low, int64_t high);
int64_t get_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high);
int64_t get_integer_or(const Napi::Object& object, const char* name, int64_t low, int64_t high,
                       int64_t fallback);
bool get_boolean_or(const Napi::Object& object, const char* name, bool fallback);
double get_number(const Napi::Object& object, const char* name);
std::string get_string(const Napi::Object& object, const char* name);
Napi::Array get_array(const Napi::Object& object, const char* name);

// Copies a typed array out of the object. A detached buffer is AIR_ERR_SHAPE.
std::vector<int32_t> get_int32s(const Napi::Object& object, const char* name);
std::vector<int32_t> to_int32s(const Napi::Value& value, const std::string& name);
std::vector<int32_t> get_int32s_or_empty(const Napi::Object& object, const char* name);
std::vector<uint8_t> get_bytes(const Napi::Object& object, const char* name);
std::vector<uint8_t> get_bytes_or_empty(const Napi::Object& object, const char* name);
std::vector<double> get_doubles(const Napi::Object& object, const char* name);

// Float32 memory of a typed array, valid as long as the array is.
struct Floats {
  float* data = nullptr;
  int64_t length = 0;
  bool is_shared = false;  // over a SharedArrayBuffer
};
Floats get_floats(const Napi::Value& value, const std::string& name);
struct Int32s {
  int32_t* data = nullptr;
  int64_t length = 0;
};
Int32s get_int32_view(const Napi::Value& value, const std::string& name);
struct Bytes {
  uint8_t* data = nullptr;
  int64_t length = 0;
};
Bytes get_byte_view(const Napi::Value& value, const std::string& name);

}  // namespace air::binding

#endif  // AIR_BINDING_VALUES_H_
