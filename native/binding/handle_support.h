// What the classes of native/binding/handles.h have in common.
#ifndef AIR_BINDING_HANDLE_SUPPORT_H_
#define AIR_BINDING_HANDLE_SUPPORT_H_

#include <napi.h>

#include <cstdint>
#include <string>

#include "native/binding/values.h"

namespace air::binding {

[[noreturn]] inline void throw_closed(Napi::Env env, const char* what) {
  throw_status(env, {StatusCode::kClosed, std::string("expected an open ") + what + " but it was closed"});
}

inline void check_tag(const Napi::Value& value, const napi_type_tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag)) {
    throw_argument(value.Env(), std::string("a native ") + what, what, value);
  }
}

// Constructors live as long as the environment: each worker thread defines its own.
inline Napi::Object construct(Napi::Env env, const char* name) {
  const auto* constructors = env.GetInstanceData<Napi::ObjectReference>();
  return constructors->Value().Get(name).As<Napi::Function>().New({});
}

inline Napi::Value number(Napi::Env env, int64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

}  // namespace air::binding

#endif  // AIR_BINDING_HANDLE_SUPPORT_H_
