#include "native/binding/bandwidth_binding.h"

#include <cmath>
#include <memory>
#include <thread>

#include "native/binding/values.h"
#include "native/core/bandwidth.h"

namespace air::binding {

namespace {

constexpr double kMaxThreads = 1024;

// A measurement in flight. It deletes itself on the JS thread once the promise has settled.
class BandwidthTask {
 public:
  BandwidthTask(Napi::Env env, int threads) : env_(env), deferred_(Napi::Promise::Deferred::New(env)) {
    options_.threads = threads;
  }

  static Napi::Promise start(std::unique_ptr<BandwidthTask> owned) {
    BandwidthTask* task = owned.release();
    const Napi::Env env = task->env_;
    task->settled_ = Napi::ThreadSafeFunction::New(
        env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "air-runtime bandwidth", 0, 1);
    const Napi::Promise promise = task->deferred_.Promise();
    task->thread_ = std::thread([task] {
      task->status_ = measure_read_bandwidth(task->options_, &task->gigabytes_per_second_);
      (void)task->settled_.BlockingCall(task, settle);
    });
    napi_add_env_cleanup_hook(env, environment_teardown, task);
    return promise;
  }

 private:
  static void settle(Napi::Env env, Napi::Function, BandwidthTask* owned) {
    const std::unique_ptr<BandwidthTask> task(owned);
    task->join();
    if (env == nullptr) return;
    napi_remove_env_cleanup_hook(env, environment_teardown, task.get());
    task->settled_.Release();
    const Napi::HandleScope scope(env);
    if (task->status_.ok()) {
      task->deferred_.Resolve(Napi::Number::New(env, task->gigabytes_per_second_));
    } else {
      task->deferred_.Reject(to_error(env, task->status_).Value());
    }
  }

  // Runs before the thread-safe function goes (reverse order of creation), which then drops `settle`.
  static void environment_teardown(void* data) { static_cast<BandwidthTask*>(data)->join(); }

  void join() {
    if (thread_.joinable()) thread_.join();
  }

  const Napi::Env env_;
  const Napi::Promise::Deferred deferred_;
  BandwidthOptions options_;
  Napi::ThreadSafeFunction settled_;
  std::thread thread_;
  Status status_;
  double gigabytes_per_second_ = 0;
};

}  // namespace

Napi::Value measure_bandwidth(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const double threads = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  if (!(threads >= 1 && threads <= kMaxThreads) || std::floor(threads) != threads) {
    throw_argument(env, "an integer from 1 to 1024", "threads", info[0]);
  }
  return BandwidthTask::start(std::make_unique<BandwidthTask>(env, static_cast<int>(threads)));
}

}  // namespace air::binding
