// One thread that runs the forwards of one runner, one at a time, and settles their promises on the JS thread.
// A thread of our own, because libuv's pool is shared with file and network work and would be filled by it.
#ifndef AIR_BINDING_ENGINE_THREAD_H_
#define AIR_BINDING_ENGINE_THREAD_H_

#include <napi.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "native/core/batch.h"
#include "native/core/runner.h"

namespace air::binding {

class EngineThread {
 public:
  // Every method is for the JS thread.
  static std::shared_ptr<EngineThread> start(Napi::Env env, std::unique_ptr<Runner> runner);
  ~EngineThread();

  // Starts a forward on `engine`, which must not be busy. `logits` is the memory of `output`, which stays alive
  // until the end, when on_settled runs on the JS thread, just before the promise settles.
  static Napi::Promise submit(const std::shared_ptr<EngineThread>& engine, Batch batch, float* logits,
                              const Napi::Object& output, std::function<void()> on_settled);
  bool busy() const { return in_flight_ != nullptr; }
  Runner& runner() { return *runner_; }

  // Ends the thread: at once when idle; else cancels, and the forward in flight rejects first.
  void close();

 private:
  struct Job {
    Job(std::shared_ptr<EngineThread> self, Batch step, float* out, const Napi::Object& output,
        std::function<void()> settled)
        : engine(std::move(self)),
          batch(std::move(step)),
          logits(out),
          deferred(Napi::Promise::Deferred::New(output.Env())),
          output_reference(Napi::Persistent(output)),
          on_settled(std::move(settled)) {}

    std::shared_ptr<EngineThread> engine;  // a collected handle must not end a forward's thread
    Batch batch;
    float* logits;
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference output_reference;
    std::function<void()> on_settled;
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

// Runs a forward and measures it. Throws nothing.
Status timed_forward(Runner& runner, const Batch& batch, float* logits, int64_t* compute_micros);

}  // namespace air::binding

#endif  // AIR_BINDING_ENGINE_THREAD_H_
