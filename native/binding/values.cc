#include "native/binding/values.h"

#include <cmath>

namespace air::binding {

namespace {

struct TypedArray {
  napi_typedarray_type type = napi_uint8_array;
  size_t length = 0;
  void* data = nullptr;
  bool is_shared = false;
};

const char* array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_int32_array:
      return "an Int32Array";
    case napi_uint8_array:
      return "a Uint8Array";
    case napi_float32_array:
      return "a Float32Array";
    case napi_float64_array:
      return "a Float64Array";
    default:
      return "another typed array";
  }
}

TypedArray get_typed_array(const Napi::Value& value, const std::string& name, napi_typedarray_type type) {
  const Napi::Env env = value.Env();
  TypedArray array;
  napi_value buffer = nullptr;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(env, value, &array.type, &array.length, &array.data, &buffer, nullptr) !=
          napi_ok ||
      array.type != type) {
    throw_argument(env, array_name(type), name, value);
  }
  bool is_array_buffer = false;
  bool is_detached = false;
  napi_is_arraybuffer(env, buffer, &is_array_buffer);
  if (is_array_buffer) napi_is_detached_arraybuffer(env, buffer, &is_detached);
  if (is_detached) {
    throw_status(env,
                 {StatusCode::kShape, "expected a live buffer for " + name + " but received a detached one"});
  }
  array.is_shared = !is_array_buffer;  // Node-API sees a SharedArrayBuffer as a plain object
  return array;
}

template <typename T>
std::vector<T> copy_array(const Napi::Value& value, const std::string& name, napi_typedarray_type type) {
  const TypedArray array = get_typed_array(value, name, type);
  const T* data = static_cast<const T*>(array.data);
  return array.length == 0 ? std::vector<T>() : std::vector<T>(data, data + array.length);
}

bool is_absent(const Napi::Object& object, const char* name) {
  return !object.Has(name) || object.Get(name).IsUndefined();
}

}  // namespace

Napi::Error to_error(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.message());
  error.Set("code", Napi::String::New(env, status_code_name(status.code())));
  return error;
}

void throw_status(Napi::Env env, const Status& status) { throw to_error(env, status); }

void throw_argument(Napi::Env env, const std::string& expected, const std::string& name,
                    const Napi::Value& received) {
  throw_status(env, {StatusCode::kArgument,
                     "expected " + expected + " for " + name + " but received " + describe(received)});
}

std::string describe(const Napi::Value& value) {
  if (value.IsString()) return "\"" + value.As<Napi::String>().Utf8Value().substr(0, 60) + "\"";
  if (value.IsNumber() || value.IsBoolean() || value.IsUndefined() || value.IsNull()) {
    return value.ToString().Utf8Value();
  }
  if (value.IsTypedArray()) return array_name(value.As<Napi::TypedArray>().TypedArrayType());
  if (value.IsArray()) return "an array";
  if (value.IsFunction()) return "a function";
  return "an object";
}

Napi::Object get_object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject()) throw_argument(value.Env(), "an object", name, value);
  return value.As<Napi::Object>();
}

int64_t to_integer(const Napi::Value& value, const std::string& name, int64_t low, int64_t high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) ||
      std::floor(number) != number) {
    throw_argument(value.Env(), "an integer from " + std::to_string(low) + " to " + std::to_string(high),
                   name, value);
  }
  return static_cast<int64_t>(number);
}

int64_t get_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high) {
  return to_integer(object.Get(name), name, low, high);
}

int64_t get_integer_or(const Napi::Object& object, const char* name, int64_t low, int64_t high,
                       int64_t fallback) {
  return is_absent(object, name) ? fallback : get_integer(object, name, low, high);
}

bool get_boolean_or(const Napi::Object& object, const char* name, bool fallback) {
  if (is_absent(object, name)) return fallback;
  const Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) throw_argument(object.Env(), "true or false", name, value);
  return value.As<Napi::Boolean>().Value();
}

double get_number(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) throw_argument(object.Env(), "a number", name, value);
  return value.As<Napi::Number>().DoubleValue();
}

std::string get_string(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) throw_argument(object.Env(), "a string", name, value);
  return value.As<Napi::String>().Utf8Value();
}

Napi::Array get_array(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) throw_argument(object.Env(), "an array", name, value);
  return value.As<Napi::Array>();
}

std::vector<int32_t> get_int32s(const Napi::Object& object, const char* name) {
  return to_int32s(object.Get(name), name);
}

std::vector<int32_t> to_int32s(const Napi::Value& value, const std::string& name) {
  return copy_array<int32_t>(value, name, napi_int32_array);
}

std::vector<int32_t> get_int32s_or_empty(const Napi::Object& object, const char* name) {
  return is_absent(object, name) ? std::vector<int32_t>() : get_int32s(object, name);
}

std::vector<uint8_t> get_bytes(const Napi::Object& object, const char* name) {
  return copy_array<uint8_t>(object.Get(name), name, napi_uint8_array);
}

std::vector<uint8_t> get_bytes_or_empty(const Napi::Object& object, const char* name) {
  return is_absent(object, name) ? std::vector<uint8_t>() : get_bytes(object, name);
}

std::vector<double> get_doubles(const Napi::Object& object, const char* name) {
  return copy_array<double>(object.Get(name), name, napi_float64_array);
}

Floats get_floats(const Napi::Value& value, const std::string& name) {
  const TypedArray array = get_typed_array(value, name, napi_float32_array);
  return {static_cast<float*>(array.data), static_cast<int64_t>(array.length), array.is_shared};
}

Int32s get_int32_view(const Napi::Value& value, const std::string& name) {
  const TypedArray array = get_typed_array(value, name, napi_int32_array);
  return {static_cast<int32_t*>(array.data), static_cast<int64_t>(array.length)};
}

Bytes get_byte_view(const Napi::Value& value, const std::string& name) {
  const TypedArray array = get_typed_array(value, name, napi_uint8_array);
  return {static_cast<uint8_t*>(array.data), static_cast<int64_t>(array.length)};
}

}  // namespace air::binding
