#include "native/binding/engine_thread.h"

#include <future>
#include <utility>

#include "native/binding/values.h"

namespace air::binding {

std::shared_ptr<EngineThread> EngineThread::start(Napi::Env env, std::unique_ptr<Runner> runner) {
  auto engine = std::shared_ptr<EngineThread>(new EngineThread(env, std::move(runner)));
  const auto no_op = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  engine->settled_ = Napi::ThreadSafeFunction::New(env, no_op, "air-runtime engine", 0, 1);
  engine->settled_.Unref(env);  // an idle engine does not keep the process alive
  std::promise<Status> adopted;
  std::future<Status> result = adopted.get_future();
  const Status started = start_thread(
      [raw = engine.get(), adopted = std::move(adopted)]() mutable {
        adopted.set_value(raw->runner_->adopt_this_thread());
        raw->thread_loop();
      },
      &engine->thread_);
  if (!started.ok()) {
    engine->settled_.Release();
    throw_status(env, started);
  }
  engine->running_ = true;
  // Hooks run in reverse order of creation: the thread is joined before its thread-safe function goes.
  napi_add_env_cleanup_hook(env, environment_teardown, engine.get());
  throw_if_error(env, result.get());
  return engine;
}

EngineThread::~EngineThread() { stop_and_join(); }

void EngineThread::environment_teardown(void* engine) {
  auto* self = static_cast<EngineThread*>(engine);
  self->runner_->cancel();
  self->stop_and_join();
  // A settle still in the queue is dropped with it. What the job holds goes here: it may be this engine's last
  // reference, and the arena's, which holds the model.
  const std::unique_ptr<Job> dropped = std::move(self->in_flight_);
}

Napi::Promise EngineThread::submit(Napi::Env env, const std::shared_ptr<EngineThread>& engine, Work work) {
  auto job = std::make_unique<Job>(env, engine, std::move(work));
  const Napi::Promise promise = job->deferred.Promise();
  engine->runner_->clear_cancel();
  engine->settled_.Ref(engine->env_);
  {
    const std::lock_guard<std::mutex> lock(engine->mutex_);
    engine->job_ = job.get();
  }
  engine->in_flight_ = std::move(job);
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
      job = std::exchange(job_, nullptr);
    }
    job->status = timed(*runner_, job->work.compute, &job->compute_micros);
    // Refused when the environment is gone, which teardown rules out by joining first.
    if (settled_.BlockingCall(job, settle) != napi_ok) return;
  }
}

void EngineThread::settle(Napi::Env env, Napi::Function, Job* finished) {
  EngineThread& engine = *finished->engine;
  const std::unique_ptr<Job> job = std::move(engine.in_flight_);  // may hold the last reference to the engine
  engine.settled_.Unref(env);
  if (engine.closing_) engine.stop_and_join();
  job->work.on_settled();
  if (!job->status.ok()) {
    job->deferred.Reject(to_error(env, job->status).Value());
    return;
  }
  Napi::Object stats = Napi::Object::New(env);
  stats.Set("computeMicros", Napi::Number::New(env, static_cast<double>(job->compute_micros)));
  if (job->work.report) job->work.report(env, stats);
  job->deferred.Resolve(stats);
}

void EngineThread::close() {
  if (closing_) return;
  closing_ = true;
  if (busy()) {
    runner_->cancel();
  } else {
    stop_and_join();
  }
}

void EngineThread::stop_and_join() {
  if (!running_) return;
  running_ = false;
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
