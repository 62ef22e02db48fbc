// Memory of the device under test and launches on it: what kernel tests are written with. The device is the emulator, or
// a real one (gpu.h).
//
//   DeviceArray<float> x("x", values);            filled, kernels may only read it
//   DeviceArray<float> y("y", rows * cols);       kernels must write before they read
//   CHECK_LAUNCH(air_rms_norm, shape, params);    fails the test with the emulator's message
//   y.download()
#ifndef AIR_TEST_KERNELS_SUPPORT_DEVICE_ARRAY_H_
#define AIR_TEST_KERNELS_SUPPORT_DEVICE_ARRAY_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/cuda/launch/shape.h"
#include "test/kernels/emulator/emulator.h"
#include "test/kernels/support/gpu.h"
#include "test/native/check.h"

namespace air_test {

// Bytes of the device, aligned as cuMemAlloc aligns and apart from all others.
class DeviceBytes {
 public:
  DeviceBytes(const char* name, const void* contents, size_t bytes, bool writable);
  ~DeviceBytes();
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* data() const { return data_; }
  size_t size() const { return bytes_; }
  void upload(const void* contents, size_t bytes);
  void download(void* out, size_t bytes) const;

 private:
  size_t bytes_;
  void* allocation_ = nullptr;
  void* data_ = nullptr;
};

template <typename T>
class DeviceArray {
 public:
  // Filled; kernels may only read it.
  DeviceArray(const char* name, const std::vector<T>& contents)
      : bytes_(name, contents.data(), contents.size() * sizeof(T), false), count_(contents.size()) {}
  // Without contents.
  DeviceArray(const char* name, size_t count)
      : bytes_(name, nullptr, count * sizeof(T), true), count_(count) {}

  // Filled, and kernels may write to it as well.
  struct Writable {};
  DeviceArray(const char* name, const std::vector<T>& contents, Writable)
      : bytes_(name, contents.data(), contents.size() * sizeof(T), true), count_(contents.size()) {}

  // For kernels; the host does not follow it.
  T* data() const { return static_cast<T*>(bytes_.data()); }
  size_t size() const { return count_; }
  void upload(const std::vector<T>& contents) { bytes_.upload(contents.data(), contents.size() * sizeof(T)); }
  std::vector<T> download() const {
    std::vector<T> out(count_);
    bytes_.download(out.data(), count_ * sizeof(T));
    return out;
  }

 private:
  DeviceBytes bytes_;
  size_t count_;
};

template <typename T>
using WritableArray = typename DeviceArray<T>::Writable;

template <typename... Parameters, size_t... Indices>
air::emulator::Result launch_on_gpu(const char* name, const air::cuda::LaunchShape& shape,
                                    std::tuple<Parameters...> values, std::index_sequence<Indices...>) {
  void* pointers[] = {&std::get<Indices>(values)...};
  return gpu::launch(name, shape, pointers);
}

// On a real device, the kernel of that name; the order is its own.
template <typename... Parameters, typename... Arguments>
air::emulator::Result launch_kernel(const char* name, void (*kernel)(Parameters...),
                                    const air::cuda::LaunchShape& shape, air::emulator::Order order,
                                    const Arguments&... arguments) {
  if (gpu::in_use()) {
    return launch_on_gpu(name, shape, std::tuple<Parameters...>(static_cast<Parameters>(arguments)...),
                         std::index_sequence_for<Parameters...>());
  }
  return air::emulator::launch(
      name, shape, [&] { kernel(static_cast<Parameters>(arguments)...); }, order);
}

inline void check_launch(const air::emulator::Result& result, const char* file, int line) {
  if (!result.ok()) report_failure(file, line, result.message);
}

}  // namespace air_test

// The result of a launch, whose arguments are converted to the kernel's parameters.
#define LAUNCH(kernel, shape, ...) \
  air_test::launch_kernel(#kernel, &kernel, (shape), air::emulator::Order::kForward, __VA_ARGS__)
// The same in another order of blocks and threads.
#define LAUNCH_IN_ORDER(order, kernel, shape, ...) \
  air_test::launch_kernel(#kernel, &kernel, (shape), (order), __VA_ARGS__)
#define CHECK_LAUNCH(kernel, shape, ...) \
  air_test::check_launch(LAUNCH(kernel, (shape), __VA_ARGS__), __FILE__, __LINE__)

#endif  // AIR_TEST_KERNELS_SUPPORT_DEVICE_ARRAY_H_
