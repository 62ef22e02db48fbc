#include "native/binding/handles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "native/binding/values.h"
#include "native/core/propose.h"

namespace air::binding {

namespace {

constexpr napi_type_tag kModelTag = {0x6f1d2c7a9b3e4f50, 0xa1c49e27d85b3f61};
constexpr napi_type_tag kArenaTag = {0x2b7e151628aed2a6, 0x3c4fcf098815f7ab};
constexpr napi_type_tag kRunnerTag = {0x5d9a7c31e0f24b86, 0x94d1a3b7c5e80f12};

[[noreturn]] void throw_closed(Napi::Env env, const char* what) {
  throw_status(env, {StatusCode::kClosed, std::string("expected an open ") + what + " but it was closed"});
}

void check_tag(const Napi::Value& value, const napi_type_tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag)) {
    throw_argument(value.Env(), std::string("a native ") + what, what, value);
  }
}

// Constructors live as long as the environment: each worker thread defines its own.
template <typename Handle>
Napi::Object construct(Napi::Env env, const char* name) {
  const auto* constructors = env.GetInstanceData<Napi::ObjectReference>();
  return constructors->Value().Get(name).As<Napi::Function>().New({});
}

Napi::Value number(Napi::Env env, int64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Batch get_batch(const Napi::Value& value) {
  const Napi::Object object = get_object(value, "batch");
  Batch batch;
  batch.tokens = get_int32s(object, "tokens");
  batch.positions = get_int32s(object, "positions");
  batch.slots = get_int32s(object, "slots");
  batch.sequence_starts = get_int32s(object, "sequenceStarts");
  batch.page_tables = get_int32s(object, "pageTables");
  batch.context_lengths = get_int32s(object, "contextLengths");
  batch.logit_rows = get_int32s(object, "logitRows");
  batch.sink_tokens = get_int32s_or_empty(object, "sinkTokens");
  batch.window_tokens = get_int32s_or_empty(object, "windowTokens");
  batch.evicted_tokens = get_int32s_or_empty(object, "evictedTokens");
  batch.query_gates = get_bytes_or_empty(object, "queryGates");
  return batch;
}

const char* class_name(AirWeightClass weight_class) {
  constexpr const char* kNames[AIR_WEIGHT_CLASSES] = {"int4", "int8", "f16", "f32"};
  return kNames[weight_class];
}

const char* outcome_name(PackCacheOutcome outcome) {
  constexpr const char* kNames[] = {"off", "hit", "written", "unwritten"};
  return kNames[static_cast<int>(outcome)];
}

}  // namespace

// --- model ---------------------------------------------------------------------------------------------------

Napi::Function ModelHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeModel",
      {InstanceAccessor<&ModelHandle::weight_bytes>("weightBytes"),
       InstanceAccessor<&ModelHandle::mapped_bytes>("mappedBytes"),
       InstanceAccessor<&ModelHandle::conversions>("conversions"),
       InstanceAccessor<&ModelHandle::pack_cache>("packCache"),
       InstanceAccessor<&ModelHandle::backend>("backend"), InstanceMethod<&ModelHandle::close>("close")});
}

ModelHandle::ModelHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kModelTag);
}

ModelHandle* ModelHandle::Unwrap(const Napi::Value& value) {
  check_tag(value, kModelTag, "model");
  return ObjectWrap::Unwrap(value.As<Napi::Object>());
}

Napi::Object ModelHandle::create(Napi::Env env, std::shared_ptr<const Model> model) {
  Napi::Object object = construct<ModelHandle>(env, "NativeModel");
  Unwrap(object)->model_ = std::move(model);
  return object;
}

std::shared_ptr<const Model> ModelHandle::require(const Napi::Value& value) {
  const auto* handle = Unwrap(value);
  handle->open(value.Env());
  return handle->model_;
}

const Model& ModelHandle::open(Napi::Env env) const {
  if (model_ == nullptr) throw_closed(env, "model");
  return *model_;
}

Napi::Value ModelHandle::weight_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).weight_bytes());
}

Napi::Value ModelHandle::mapped_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).mapped_bytes());
}

Napi::Value ModelHandle::backend(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), "cpu");
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

void ModelHandle::close(const Napi::CallbackInfo&) { model_.reset(); }

// --- arena ---------------------------------------------------------------------------------------------------

Napi::Function ArenaHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeKvArena",
      {InstanceAccessor<&ArenaHandle::page_tokens>("pageTokens"),
       InstanceAccessor<&ArenaHandle::head_groups>("headGroups"),
       InstanceAccessor<&ArenaHandle::bytes>("bytes"), InstanceMethod<&ArenaHandle::copy_pages>("copyPages"),
       InstanceMethod<&ArenaHandle::close>("close")});
}

ArenaHandle::ArenaHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kArenaTag);
}

ArenaHandle* ArenaHandle::Unwrap(const Napi::Value& value) {
  check_tag(value, kArenaTag, "arena");
  return ObjectWrap::Unwrap(value.As<Napi::Object>());
}

Napi::Object ArenaHandle::create(Napi::Env env, std::shared_ptr<KvArena> arena) {
  Napi::Object object = construct<ArenaHandle>(env, "NativeKvArena");
  Unwrap(object)->shared_ = std::make_shared<SharedArena>(SharedArena{std::move(arena), 0});
  return object;
}

std::shared_ptr<SharedArena> ArenaHandle::require(const Napi::Value& value) {
  const auto* handle = Unwrap(value);
  handle->open(value.Env());
  return handle->shared_;
}

const KvArena& ArenaHandle::open(Napi::Env env) const {
  if (shared_ == nullptr) throw_closed(env, "arena");
  return *shared_->arena;
}

Napi::Value ArenaHandle::page_tokens(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).layout().page_tokens);
}

Napi::Value ArenaHandle::head_groups(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const KvArena::Group& group : open(info.Env()).groups()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("pageCount", number(env, group.page_count));
    entry.Set("bytesPerPage", number(env, group.page_bytes));
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value ArenaHandle::bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).bytes());
}

void ArenaHandle::copy_pages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  open(info.Env());
  const int64_t group = to_integer(info[0], "headGroup", 0, std::numeric_limits<int32_t>::max());
  // Copies, because another thread may write to shared memory between the check and the use.
  const std::vector<int32_t> src = to_int32s(info[1], "src");
  const std::vector<int32_t> dst = to_int32s(info[2], "dst");
  if (src.size() != dst.size()) {
    throw_status(env, {StatusCode::kShape, "expected as many entries as src (" + std::to_string(src.size()) +
                                               ") for dst but received " + std::to_string(dst.size())});
  }
  if (shared_->forwards_in_flight > 0) {
    throw_status(env, {StatusCode::kBusy, "expected an idle arena for copyPages but a forward is using it"});
  }
  throw_if_error(env,
                 shared_->arena->copy_pages(group, src.data(), dst.data(), static_cast<int64_t>(src.size())));
}

void ArenaHandle::close(const Napi::CallbackInfo&) { shared_.reset(); }

// --- runner --------------------------------------------------------------------------------------------------

Napi::Function RunnerHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeRunner",
      {InstanceAccessor<&RunnerHandle::threads>("threads"),
       InstanceAccessor<&RunnerHandle::workspace_bytes>("workspaceBytes"),
       InstanceMethod<&RunnerHandle::forward>("forward"),
       InstanceMethod<&RunnerHandle::forward_sync>("forwardSync"),
       InstanceMethod<&RunnerHandle::propose>("propose"), InstanceMethod<&RunnerHandle::cancel>("cancel"),
       InstanceMethod<&RunnerHandle::close>("close")});
}

RunnerHandle::RunnerHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kRunnerTag);
}

RunnerHandle* RunnerHandle::Unwrap(const Napi::Value& value) {
  check_tag(value, kRunnerTag, "runner");
  return ObjectWrap::Unwrap(value.As<Napi::Object>());
}

Napi::Object RunnerHandle::create(Napi::Env env, std::unique_ptr<Runner> runner,
                                  std::shared_ptr<SharedArena> arena) {
  Napi::Object object = construct<RunnerHandle>(env, "NativeRunner");
  RunnerHandle* handle = Unwrap(object);
  handle->engine_ = EngineThread::start(env, std::move(runner));
  handle->arena_ = std::move(arena);
  handle->draft_logits_ = std::make_shared<std::vector<float>>();
  return object;
}

EngineThread& RunnerHandle::open(Napi::Env env) const {
  if (engine_ == nullptr) throw_closed(env, "runner");
  return *engine_;
}

Napi::Value RunnerHandle::threads(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).runner().options().threads);
}

Napi::Value RunnerHandle::workspace_bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).runner().workspace_bytes());
}

EngineThread& RunnerHandle::idle(Napi::Env env) const {
  EngineThread& engine = open(env);
  if (engine.busy()) {
    throw_status(env, {StatusCode::kBusy, "expected an idle runner for forward but one is in flight"});
  }
  return engine;
}

RunnerHandle::Step RunnerHandle::read_step(const Napi::CallbackInfo& info, bool needs_shared_output) const {
  const Napi::Env env = info.Env();
  Step step;
  step.batch = get_batch(info[0]);
  const Napi::Value output = get_object(info[1], "output").Get("logits");
  const Floats logits = get_floats(output, "output.logits");
  if (needs_shared_output && !logits.is_shared) {
    throw_argument(env, "a Float32Array over a SharedArrayBuffer (from allocateShared)", "output.logits",
                   output);
  }
  const int64_t needed = step.batch.row_count() * idle(env).runner().spec().vocab_size;
  if (logits.length < needed) {
    throw_status(env, {StatusCode::kShape, "expected rows * vocabSize = " + std::to_string(needed) +
                                               " values or more for output.logits but received " +
                                               std::to_string(logits.length)});
  }
  step.logits = logits.data;
  step.output = output.As<Napi::Object>();
  return step;
}

Napi::Promise RunnerHandle::submit(Napi::Env env, EngineThread::Work work) {
  work.on_settled = [arena = arena_] { --arena->forwards_in_flight; };
  const Napi::Promise promise = EngineThread::submit(env, engine_, std::move(work));
  ++arena_->forwards_in_flight;
  return promise;
}

Napi::Value RunnerHandle::forward(const Napi::CallbackInfo& info) {
  Step step = read_step(info, true);
  EngineThread::Work work;
  work.output = Napi::Persistent(step.output);
  work.compute = [batch = std::move(step.batch), logits = step.logits](Runner& runner) {
    return runner.forward(batch, logits);
  };
  return submit(info.Env(), std::move(work));
}

Napi::Value RunnerHandle::forward_sync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Step step = read_step(info, false);
  Runner& runner = engine_->runner();
  runner.clear_cancel();
  int64_t compute_micros = 0;
  const auto forward = [&step](Runner& on) { return on.forward(step.batch, step.logits); };
  throw_if_error(env, timed(runner, forward, &compute_micros));
  Napi::Object stats = Napi::Object::New(env);
  stats.Set("computeMicros", number(env, compute_micros));
  return stats;
}

Napi::Value RunnerHandle::propose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ProposeRequest request;
  request.batch = get_batch(info[0]);
  const Napi::Object options = get_object(info[1], "options");
  request.counts = get_int32s(options, "counts");
  const double min_confidence = get_number(options, "minConfidence");
  if (!(min_confidence >= 0 && min_confidence <= 1)) {
    throw_argument(env, "a number from 0 to 1", "minConfidence", options.Get("minConfidence"));
  }
  request.min_confidence = static_cast<float>(min_confidence);
  idle(env);
  const auto result = std::make_shared<ProposeResult>();
  EngineThread::Work work;
  work.compute = [request = std::move(request), logits = draft_logits_, result](Runner& runner) {
    return air::propose(runner, request, logits.get(), result.get());
  };
  work.report = [result](Napi::Env report_env, Napi::Object stats) {
    Napi::Int32Array tokens = Napi::Int32Array::New(report_env, result->tokens.size());
    std::copy(result->tokens.begin(), result->tokens.end(), tokens.Data());
    Napi::Float32Array confidence = Napi::Float32Array::New(report_env, result->confidence.size());
    std::copy(result->confidence.begin(), result->confidence.end(), confidence.Data());
    stats.Set("tokens", tokens);
    stats.Set("confidence", confidence);
  };
  return submit(env, std::move(work));
}

void RunnerHandle::cancel(const Napi::CallbackInfo& info) {
  EngineThread& engine = open(info.Env());
  if (engine.busy()) engine.runner().cancel();
}

void RunnerHandle::close(const Napi::CallbackInfo&) {
  if (engine_ != nullptr) engine_->close();
  engine_.reset();
  arena_.reset();
}

}  // namespace air::binding
