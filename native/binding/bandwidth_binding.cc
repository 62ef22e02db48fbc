#include "native/binding/bandwidth_binding.h"

#include <functional>
#include <memory>
#include <utility>

#include "native/binding/cuda_binding.h"
#include "native/binding/guard.h"
#include "native/binding/values.h"
#include "native/core/bandwidth.h"
#include "native/cuda/bandwidth.h"

namespace air::binding {

namespace {

constexpr int64_t kReadUnit = 16;  // bytes of one load
constexpr int64_t kMostBytes = int64_t{1} << 42;

using Measurement = std::function<Status(double* gigabytes_per_second)>;

// A second of work that is seldom asked for: it may take a thread of libuv's pool. Deletes itself.
class BandwidthWorker : public Napi::AsyncWorker {
 public:
  BandwidthWorker(Napi::Env env, Measurement measure)
      : AsyncWorker(env, "air-runtime bandwidth"), deferred_(env), measure_(std::move(measure)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    status_ = guarded("the bandwidth", [&] { return measure_(&gigabytes_per_second_); });
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
  const Measurement measure_;
  Status status_;
  double gigabytes_per_second_ = 0;
};

Napi::Value start(Napi::Env env, Measurement measure) {
  auto* worker = new BandwidthWorker(env, std::move(measure));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace

Napi::Value measure_bandwidth(const Napi::CallbackInfo& info) {
  BandwidthOptions options;
  options.threads = static_cast<int>(to_integer(info[0], "threads", 1, kMaxThreads));
  return start(info.Env(), [options](double* result) { return measure_read_bandwidth(options, result); });
}

Napi::Value measure_device_bandwidth(const Napi::CallbackInfo& info) {
  const auto ordinal = static_cast<int>(to_integer(info[0], "device", 0, kMaxDevice));
  const int64_t bytes = to_integer(info[1], "bytes", kReadUnit, kMostBytes) / kReadUnit * kReadUnit;
  return start(info.Env(), [ordinal, bytes](double* result) {
    std::shared_ptr<const cuda::Kernels> kernels;
    AIR_RETURN_IF_ERROR(open_cuda_device(ordinal, &kernels));
    return cuda::measure_device_bandwidth(std::move(kernels), bytes, result);
  });
}

}  // namespace air::binding
