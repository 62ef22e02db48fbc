#include "native/binding/row_ops_binding.h"

#include <cmath>
#include <limits>
#include <string>

#include "native/binding/guard.h"
#include "native/binding/values.h"
#include "native/core/row_ops.h"

namespace air::binding {

namespace {

constexpr int64_t kMaxSafeInteger = (1LL << 53) - 1;
constexpr int64_t kMaxWord = std::numeric_limits<uint32_t>::max();

double get_double(const Napi::Value& value, const std::string& name) {
  if (!value.IsNumber()) throw_argument(value.Env(), "a number", name, value);
  return value.As<Napi::Number>().DoubleValue();
}

Floats get_row(const Napi::Value& value, const std::string& name) {
  const Floats row = get_floats(value, name);
  if (row.length == 0) {
    throw_status(value.Env(),
                 {StatusCode::kShape, "expected at least one value for " + name + " but received none"});
  }
  return row;
}

// Whole rows of vocabSize.
int64_t get_row_count(const Floats& values, const Napi::Value& vocab_size, int64_t* width) {
  const double size = get_double(vocab_size, "vocabSize");
  if (!(size >= 1) || size > 1e9 || std::floor(size) != size ||
      values.length % static_cast<int64_t>(size) != 0) {
    throw_status(vocab_size.Env(),
                 {StatusCode::kShape, "expected a divisor of the " + std::to_string(values.length) +
                                          " values for vocabSize but received " + describe(vocab_size)});
  }
  *width = static_cast<int64_t>(size);
  return values.length / *width;
}

[[noreturn]] void throw_length(Napi::Env env, const char* name, int64_t expected, int64_t received) {
  throw_status(env, {StatusCode::kShape, "expected " + std::to_string(expected) + " values for " + name +
                                             " but received " + std::to_string(received)});
}

void softmax_rows(const Napi::CallbackInfo& info) {
  const Floats logits = get_floats(info[0], "logits");
  int64_t width = 0;
  const int64_t rows = get_row_count(logits, info[1], &width);
  const double temperature = get_double(info[2], "temperature");
  // As float32 neither 0 nor infinite.
  if (!(temperature >= static_cast<double>(std::numeric_limits<float>::min()) &&
        temperature <= static_cast<double>(std::numeric_limits<float>::max()))) {
    throw_argument(info.Env(), "a number above 0", "temperature", info[2]);
  }
  for (int64_t row = 0; row < rows; ++row)
    softmax_row(logits.data + row * width, width, static_cast<float>(temperature));
}

void argmax_rows(const Napi::CallbackInfo& info) {
  const Floats logits = get_floats(info[0], "logits");
  int64_t width = 0;
  const int64_t rows = get_row_count(logits, info[1], &width);
  const Int32s out = get_int32_view(info[2], "out");
  if (out.length < rows) throw_length(info.Env(), "out", rows, out.length);
  for (int64_t row = 0; row < rows; ++row) out.data[row] = argmax_row(logits.data + row * width, width);
}

void top_k(const Napi::CallbackInfo& info) {
  const Floats row = get_row(info[0], "row");
  const double k = get_double(info[1], "k");
  if (!(k >= 1 && k <= static_cast<double>(row.length)) || std::floor(k) != k) {
    throw_argument(info.Env(), "an integer from 1 to the row's length (" + std::to_string(row.length) + ")",
                   "k", info[1]);
  }
  const auto count = static_cast<int64_t>(k);
  const Int32s ids = get_int32_view(info[2], "outIds");
  const Floats values = get_floats(info[3], "outValues");
  if (ids.length < count) throw_length(info.Env(), "outIds", count, ids.length);
  if (values.length < count) throw_length(info.Env(), "outValues", count, values.length);
  throw_if_error(info.Env(), guarded("the best values of a row", [&] {
                   top_k_row(row.data, row.length, count, ids.data, values.data);
                   return Status();
                 }));
}

Napi::Value sample(const Napi::CallbackInfo& info) {
  const Floats weights = get_row(info[0], "weights");
  const int32_t* ids = nullptr;
  if (!info[1].IsUndefined()) {
    const Int32s given = get_int32_view(info[1], "ids");
    if (given.length < weights.length) throw_length(info.Env(), "ids", weights.length, given.length);
    ids = given.data;
  }
  DrawKey key;
  key.seed = static_cast<uint64_t>(to_integer(info[2], "seed", 0, kMaxSafeInteger));
  key.position = static_cast<uint32_t>(to_integer(info[3], "position", 0, kMaxWord));
  key.purpose = static_cast<uint32_t>(to_integer(info[4], "purpose", 0, kMaxWord));
  const int32_t index = sample_row(weights.data, ids, weights.length, key);
  if (index < 0) {
    throw_status(info.Env(),
                 {StatusCode::kArgument,
                  "expected finite weights from 0, one above it, for weights but received others"});
  }
  return Napi::Number::New(info.Env(), index);
}

Napi::Value log_sum_exp(const Napi::CallbackInfo& info) {
  const Floats row = get_row(info[0], "row");
  return Napi::Number::New(info.Env(), log_sum_exp_row(row.data, row.length));
}

Napi::Value divergence(const Napi::CallbackInfo& info) {
  const Floats reference = get_row(info[0], "reference");
  const Floats logits = get_floats(info[1], "logits");
  if (logits.length != reference.length) throw_length(info.Env(), "logits", reference.length, logits.length);
  return Napi::Number::New(info.Env(), divergence_row(reference.data, logits.data, reference.length));
}

void residual(const Napi::CallbackInfo& info) {
  const Floats target = get_row(info[0], "target");
  const Floats draft = get_floats(info[1], "draft");
  const Floats out = get_floats(info[2], "out");
  if (draft.length != target.length) throw_length(info.Env(), "draft", target.length, draft.length);
  if (out.length != target.length) throw_length(info.Env(), "out", target.length, out.length);
  residual_row(target.data, draft.data, target.length, out.data);
}

}  // namespace

void define_row_ops(Napi::Env env, Napi::Object exports) {
  exports.Set("softmaxRows", Napi::Function::New(env, softmax_rows, "softmaxRows"));
  exports.Set("argmaxRows", Napi::Function::New(env, argmax_rows, "argmaxRows"));
  exports.Set("topKRow", Napi::Function::New(env, top_k, "topKRow"));
  exports.Set("sampleRow", Napi::Function::New(env, sample, "sampleRow"));
  exports.Set("logSumExpRow", Napi::Function::New(env, log_sum_exp, "logSumExpRow"));
  exports.Set("divergenceRow", Napi::Function::New(env, divergence, "divergenceRow"));
  exports.Set("residualRow", Napi::Function::New(env, residual, "residualRow"));
}

}  // namespace air::binding
