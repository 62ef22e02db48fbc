// One thread that runs the forwards of one runner, one at a time, and settles their promises on the JS thread.
// A thread of our own, because libuv's pool is shared with file and network work and would be filled by it.
#ifndef AIR_BINDING_ENGINE_THREAD_H_
#define AIR_BINDING_ENGINE_THREAD_H_

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "native/binding/guard.h"
#include "native/core/runner.h"

namespace air::binding {

class EngineThread {
 public:
  // Every method is for the JS thread.
  static std::shared_ptr<EngineThread> start(Napi::Env env, std::unique_ptr<Runner> runner);
  ~EngineThread();

  // What the thread is to do for one promise.
  struct Work {
    std::function<Status(Runner&)> compute;  // on the engine's thread; throws nothing
    std::function<void(Napi::Env, Napi::Object stats)>
        report;                        // on the JS thread, after success; may be empty
    std::function<void()> on_settled;  // on the JS thread, before all else
    Napi::ObjectReference output;      // kept alive until then; may be empty
  };
  // Starts work on `engine`, which must not be busy. The promise resolves with {computeMicros} and what report adds.
  static Napi::Promise submit(Napi::Env env, const std::shared_ptr<EngineThread>& engine, Work work);
  bool busy() const { return in_flight_ != nullptr; }
  Runner& runner() { return *runner_; }

  // Ends the thread: at once when idle; else cancels, and the forward in flight rejects first.
  void close();

 private:
  struct Job {
    Job(Napi::Env env, std::shared_ptr<EngineThread> self, Work to_do)
        : engine(std::move(self)), work(std::move(to_do)), deferred(Napi::Promise::Deferred::New(env)) {}

    std::shared_ptr<EngineThread> engine;  // a collected handle must not end a forward's thread
    Work work;
    Napi::Promise::Deferred deferred;
    Status status;
    int64_t compute_micros = 0;
  };

  EngineThread(Napi::Env env, std::unique_ptr<Runner> runner) : env_(env), runner_(std::move(runner)) {}

  void thread_loop();
  static void settle(Napi::Env env, Napi::Function, Job* job);
  void stop_and_join();
  static void environment_teardown(void* engine);

  const Napi::Env env_;
  std::unique_ptr<Runner> runner_;
  std::thread thread_;
  Napi::ThreadSafeFunction settled_;
  std::unique_ptr<Job> in_flight_;  // JS thread
  bool running_ = false;            // JS thread; the thread is to be joined
  bool closing_ = false;            // JS thread

  std::mutex mutex_;
  std::condition_variable wake_;
  Job* job_ = nullptr;  // guarded by mutex_; in_flight_, until the thread takes it
  bool stop_ = false;   // guarded by mutex_
};

// Runs compute(runner), which may throw std::bad_alloc, and measures it. Throws nothing.
template <typename Compute>
Status timed(Runner& runner, const Compute& compute, int64_t* compute_micros) {
  const auto start = std::chrono::steady_clock::now();
  Status status = guarded("the forward", [&] { return compute(runner); });
  *compute_micros =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  return status;
}

}  // namespace air::binding

#endif  // AIR_BINDING_ENGINE_THREAD_H_
