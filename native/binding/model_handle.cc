#include "native/binding/handles.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "native/binding/cuda_binding.h"
#include "native/binding/guard.h"
#include "native/binding/handle_support.h"

namespace air::binding {

namespace {

constexpr napi_type_tag kModelTag = {0x6f1d2c7a9b3e4f50, 0xa1c49e27d85b3f61};

const char* class_name(AirWeightClass weight_class) {
  constexpr const char* kNames[AIR_WEIGHT_CLASSES] = {"int4", "int8", "f16", "f32"};
  return kNames[weight_class];
}

const char* outcome_name(PackCacheOutcome outcome) {
  constexpr const char* kNames[] = {"off", "hit", "written", "unwritten"};
  return kNames[static_cast<int>(outcome)];
}

}  // namespace

Napi::Function ModelHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeModel",
      {InstanceAccessor<&ModelHandle::weight_bytes>("weightBytes"),
       InstanceAccessor<&ModelHandle::mapped_bytes>("mappedBytes"),
       InstanceAccessor<&ModelHandle::conversions>("conversions"),
       InstanceAccessor<&ModelHandle::pack_cache>("packCache"),
       InstanceAccessor<&ModelHandle::backend>("backend"), InstanceAccessor<&ModelHandle::device>("device"),
       InstanceMethod<&ModelHandle::column_squares>("columnSquares"),
       InstanceMethod<&ModelHandle::close>("close")});
}

ModelHandle::ModelHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kModelTag);
}

ModelHandle* ModelHandle::Unwrap(const Napi::Value& value) {
  check_tag(value, kModelTag, "model");
  return ObjectWrap::Unwrap(value.As<Napi::Object>());
}

Napi::Object ModelHandle::create(Napi::Env env, LoadedModel loaded) {
  Napi::Object object = construct(env, "NativeModel");
  Unwrap(object)->loaded_ = std::move(loaded);
  return object;
}

LoadedModel ModelHandle::require(const Napi::Value& value) {
  const auto* handle = Unwrap(value);
  handle->open(value.Env());
  return handle->loaded_;
}

const Model& ModelHandle::open(Napi::Env env) const {
  if (loaded_.model == nullptr) throw_closed(env, "model");
  return *loaded_.model;
}

Napi::Value ModelHandle::weight_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).weight_bytes());
}

Napi::Value ModelHandle::mapped_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).mapped_bytes());
}

Napi::Value ModelHandle::backend(const Napi::CallbackInfo& info) {
  open(info.Env());
  return Napi::String::New(info.Env(), loaded_.device == nullptr ? "cpu" : "cuda");
}

Napi::Value ModelHandle::device(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  open(env);
  if (loaded_.device == nullptr) return env.Undefined();
  Napi::Object object = describe_loaded(env, loaded_.device->kernels());
  object.Set("layers", number(env, loaded_.model->spec().layers - loaded_.device->first_layer()));
  object.Set("weightBytes", number(env, loaded_.device->bytes()));
  return object;
}

Napi::Value ModelHandle::conversions(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const Conversion& conversion : open(info.Env()).conversions()) {
    const ConversionError& error = conversion.error;
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("from", tensor_type_info(conversion.from).name);
    entry.Set("to", class_name(conversion.to));
    entry.Set("tensors", number(env, conversion.tensors));
    entry.Set("relativeRmsError",
              error.squared_weight > 0 ? std::sqrt(error.squared_error / error.squared_weight) : 0.0);
    entry.Set("maxAbsError", error.max_abs_error);
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value ModelHandle::pack_cache(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const PackCacheReport& report = open(env).pack_cache();
  if (report.outcome == PackCacheOutcome::kOff) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("outcome", outcome_name(report.outcome));
  object.Set("file", report.file);
  if (!report.reason.empty()) object.Set("reason", report.reason);
  return object;
}

Napi::Value ModelHandle::column_squares(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Model& model = open(env);
  if (!info[0].IsString()) throw_argument(env, "a string", "role", info[0]);
  const std::string role = info[0].As<Napi::String>().Utf8Value();
  std::vector<float> squares;
  throw_if_error(env, guarded("column squares", [&] { return model.column_squares(role, &squares); }));
  Napi::Float32Array array = Napi::Float32Array::New(env, squares.size());
  std::copy(squares.begin(), squares.end(), array.Data());
  return array;
}

void ModelHandle::close(const Napi::CallbackInfo&) { loaded_ = {}; }

}  // namespace air::binding
