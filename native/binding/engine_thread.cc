#include "native/binding/engine_thread.h"

#include <chrono>

#include "native/binding/values.h"

namespace air::binding {

Status timed_forward(Runner& runner, const Batch& batch, float* logits, int64_t* compute_micros) {
  const auto start = std::chrono::steady_clock::now();
  Status status = runner.forward(batch, logits);
  *compute_micros =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  return status;
}

std::shared_ptr<EngineThread> EngineThread::start(Napi::Env env, std::unique_ptr<Runner> runner) {
  auto engine = std::shared_ptr<EngineThread>(new EngineThread(env, std::move(runner)));
  const auto no_op = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  engine->settled_ = Napi::ThreadSafeFunction::New(env, no_op, "air-runtime engine", 0, 1);
  engine->settled_.Unref(env);  // an idle engine does not keep the process alive
  engine->thread_ = std::thread([raw = engine.get()] { raw->thread_loop(); });
  // Hooks run in reverse order of creation: the thread is joined before its thread-safe function goes.
  napi_add_env_cleanup_hook(env, environment_teardown, engine.get());
  return engine;
}

EngineThread::~EngineThread() { stop_and_join(); }

void EngineThread::environment_teardown(void* engine) {
  auto* self = static_cast<EngineThread*>(engine);
  self->runner_->cancel();
  self->stop_and_join();
}

Napi::Promise EngineThread::submit(const std::shared_ptr<EngineThread>& engine, Batch batch, float* logits,
                                   const Napi::Object& output, std::function<void()> on_settled) {
  auto job = std::make_unique<Job>(engine, std::move(batch), logits, output, std::move(on_settled));
  const Napi::Promise promise = job->deferred.Promise();
  engine->busy_ = true;
  engine->runner_->clear_cancel();
  engine->settled_.Ref(engine->env_);
  {
    const std::lock_guard<std::mutex> lock(engine->mutex_);
    engine->job_ = std::move(job);
  }
  engine->wake_.notify_one();
  return promise;
}

void EngineThread::thread_loop() {
  for (;;) {
    Job* job = nullptr;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || job_ != nullptr; });
      if (job_ == nullptr) return;
      job = job_.release();
    }
    job->status = timed_forward(*runner_, job->batch, job->logits, &job->compute_micros);
    // The job's JS handles may only be touched on the JS thread, so a refusal (the environment is gone, which
    // teardown rules out by joining first) leaks the job.
    if (settled_.BlockingCall(job, settle) != napi_ok) return;
  }
}

void EngineThread::settle(Napi::Env env, Napi::Function, Job* finished) {
  const std::unique_ptr<Job> job(finished);  // declared first: it may hold the last reference to the engine
  EngineThread& engine = *job->engine;
  if (env == nullptr) {
    job->output_reference.SuppressDestruct();
    return;
  }
  const Napi::HandleScope scope(env);
  engine.busy_ = false;
  engine.settled_.Unref(env);
  if (engine.closing_) engine.stop_and_join();
  job->on_settled();
  if (!job->status.ok()) {
    job->deferred.Reject(to_error(env, job->status).Value());
    return;
  }
  Napi::Object stats = Napi::Object::New(env);
  stats.Set("computeMicros", Napi::Number::New(env, static_cast<double>(job->compute_micros)));
  job->deferred.Resolve(stats);
}

void EngineThread::close() {
  if (closing_) return;
  closing_ = true;
  if (busy_) {
    runner_->cancel();
  } else {
    stop_and_join();
  }
}

void EngineThread::stop_and_join() {
  if (joined_) return;
  joined_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  napi_remove_env_cleanup_hook(env_, environment_teardown, this);
  settled_.Release();
  runner_.reset();
}

}  // namespace air::binding
