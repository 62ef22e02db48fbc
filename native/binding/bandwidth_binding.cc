#include "native/binding/bandwidth_binding.h"

#include "native/binding/guard.h"
#include "native/binding/values.h"
#include "native/core/bandwidth.h"

namespace air::binding {

namespace {

// A second of work that is seldom asked for: it may take a thread of libuv's pool. Deletes itself.
class BandwidthWorker : public Napi::AsyncWorker {
 public:
  BandwidthWorker(Napi::Env env, int threads) : AsyncWorker(env, "air-runtime bandwidth"), deferred_(env) {
    options_.threads = threads;
  }
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    status_ =
        guarded("the bandwidth", [&] { return measure_read_bandwidth(options_, &gigabytes_per_second_); });
  }

  void OnOK() override {
    if (status_.ok()) {
      deferred_.Resolve(Napi::Number::New(Env(), gigabytes_per_second_));
    } else {
      deferred_.Reject(to_error(Env(), status_).Value());
    }
  }

 private:
  const Napi::Promise::Deferred deferred_;
  BandwidthOptions options_;
  Status status_;
  double gigabytes_per_second_ = 0;
};

}  // namespace

Napi::Value measure_bandwidth(const Napi::CallbackInfo& info) {
  const auto threads = static_cast<int>(to_integer(info[0], "threads", 1, kMaxThreads));
  auto* worker = new BandwidthWorker(info.Env(), threads);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace air::binding
