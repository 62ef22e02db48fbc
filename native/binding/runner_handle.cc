#include "native/binding/handles.h"

#include <algorithm>
#include <string>
#include <utility>

#include "native/binding/handle_support.h"
#include "native/core/propose.h"

namespace air::binding {

namespace {

constexpr napi_type_tag kRunnerTag = {0x5d9a7c31e0f24b86, 0x94d1a3b7c5e80f12};

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

}  // namespace

Napi::Function RunnerHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeRunner",
      {InstanceAccessor<&RunnerHandle::threads>("threads"),
       InstanceAccessor<&RunnerHandle::workspace_bytes>("workspaceBytes"),
       InstanceMethod<&RunnerHandle::forward>("forward"),
       InstanceMethod<&RunnerHandle::forward_sync>("forwardSync"),
       InstanceMethod<&RunnerHandle::propose>("propose"),
       InstanceMethod<&RunnerHandle::limit_threads>("limitThreads"),
       InstanceMethod<&RunnerHandle::cancel>("cancel"), InstanceMethod<&RunnerHandle::close>("close")});
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
  Napi::Object object = construct(env, "NativeRunner");
  RunnerHandle* handle = Unwrap(object);
  handle->engine_ = EngineThread::start(env, std::move(runner));
  handle->arena_ = std::move(arena);
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
  // All values before any memory: getters are the caller's code and may detach a buffer.
  const Napi::Object object = get_object(info[1], "output");
  const Napi::Value logits_value = object.Get("logits");
  const Napi::Value activity = object.Get("activity");
  const Napi::Value page_mass = object.Get("pageMass");
  const Napi::Value hidden_rows = object.Get("hidden");
  const Napi::Value logit_count = object.Get("logitCount");
  Napi::Value attended_value;
  Napi::Value hidden_value;
  if (!activity.IsUndefined()) {
    const Napi::Object squares = get_object(activity, "output.activity");
    attended_value = squares.Get("attendedSquares");
    hidden_value = squares.Get("hiddenSquares");
  }
  const DecoderSpec& spec = idle(env).runner().spec();
  step.arrays = Napi::Array::New(env);
  const auto take = [&](const Napi::Value& value, const char* name, int64_t needed, const char* shape) {
    const Floats floats = get_floats(value, name);
    if (needs_shared_output && !floats.is_shared) {
      throw_argument(env, "a Float32Array over a SharedArrayBuffer (from allocateShared)", name, value);
    }
    if (floats.length < needed) {
      throw_status(env, {StatusCode::kShape, std::string("expected ") + shape + " = " +
                                                 std::to_string(needed) + " values or more for " + name +
                                                 " but received " + std::to_string(floats.length)});
    }
    step.arrays.Set(step.arrays.Length(), value);
    return floats.data;
  };
  const int64_t rows = step.batch.row_count();
  const int64_t with_logits =
      logit_count.IsUndefined() ? rows : to_integer(logit_count, "output.logitCount", 0, rows);
  step.output.logit_count = with_logits;
  step.output.logits = take(logits_value, "output.logits", with_logits * spec.vocab_size, "rows * vocabSize");
  if (!hidden_rows.IsUndefined()) {
    step.output.hidden =
        take(hidden_rows, "output.hidden", rows * spec.embedding_length, "rows * embeddingLength");
  }
  if (!page_mass.IsUndefined()) {
    step.output.page_mass = take(page_mass, "output.pageMass",
                                 static_cast<int64_t>(step.batch.page_tables.size()), "pageTables.length");
  }
  if (activity.IsUndefined()) return step;
  step.output.attended_squares =
      take(attended_value, "output.activity.attendedSquares", spec.layers * spec.query_heads * spec.head_dim,
           "layers * queryHeads * headDim");
  step.output.hidden_squares = take(hidden_value, "output.activity.hiddenSquares",
                                    spec.layers * spec.feed_forward_length, "layers * feedForwardLength");
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
  work.output = Napi::Persistent(static_cast<Napi::Object>(step.arrays));
  work.compute = [batch = std::move(step.batch), output = step.output](Runner& runner) {
    return runner.forward(batch, output);
  };
  return submit(info.Env(), std::move(work));
}

Napi::Value RunnerHandle::forward_sync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Step step = read_step(info, false);
  Runner& runner = engine_->runner();
  runner.clear_cancel();
  int64_t compute_micros = 0;
  const auto forward = [&step](Runner& on) { return on.forward(step.batch, step.output); };
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
  work.compute = [request = std::move(request), result](Runner& runner) {
    return runner.propose(request, result.get());
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

void RunnerHandle::limit_threads(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Runner& runner = open(env).runner();
  runner.limit_threads(static_cast<int>(to_integer(info[0], "threads", 1, runner.options().threads)));
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
