// The driver's table, contexts, memory, streams, modules and graphs, against the fake driver.
#include "native/cuda/driver.h"

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "native/cuda/context.h"
#include "native/cuda/graph.h"
#include "native/cuda/memory.h"
#include "native/cuda/module.h"
#include "native/cuda/stream.h"
#include "test/native/check.h"
#include "test/native/fake_cuda/fake_cuda.h"

using air::Status;
using air::StatusCode;
using air::cuda::Context;
using air::cuda::DeviceBuffer;
using air::cuda::Driver;

namespace {

constexpr const char* kLibrary = AIR_FAKE_CUDA_LIBRARY;

std::shared_ptr<Context> open_context() {
  air_fake_cuda_reset();
  std::shared_ptr<const Driver> driver;
  CHECK(Driver::open(kLibrary, &driver).ok());
  std::shared_ptr<Context> context;
  CHECK(Context::create(driver, 0, &context).ok());
  return context;
}

// An image that says what it is, for loading without nvcc.
air::cuda::KernelImage fake_image() {
  static const uint8_t fatbin[] = {0x50, 0xed, 0x55, 0xba, 0, 0, 0, 0};
  return {"fake", fatbin, sizeof(fatbin), ".version 7.4\n"};
}

// Everything that the wrappers do, once.
Status live_a_life() {
  std::shared_ptr<const Driver> driver;
  AIR_RETURN_IF_ERROR(Driver::open(kLibrary, &driver));
  std::shared_ptr<Context> context;
  AIR_RETURN_IF_ERROR(Context::create(driver, 0, &context));
  std::shared_ptr<const air::cuda::Kernels> kernels;
  AIR_RETURN_IF_ERROR(air::cuda::Kernels::load(context, {fake_image()}, &kernels));
  int64_t available = 0;
  AIR_RETURN_IF_ERROR(air::cuda::available_memory(*context, &available));
  DeviceBuffer first;
  DeviceBuffer second;
  air::cuda::PinnedBuffer host;
  AIR_RETURN_IF_ERROR(first.allocate(context, 100, "a test"));
  AIR_RETURN_IF_ERROR(second.allocate(context, 100, "a test"));
  AIR_RETURN_IF_ERROR(host.allocate(context, 100, "a test"));
  const Context::Scope scope(*context);
  AIR_RETURN_IF_ERROR(scope.status());
  air::cuda::Stream stream;
  AIR_RETURN_IF_ERROR(stream.create(context));
  air::cuda::Event start;
  air::cuda::Event end;
  AIR_RETURN_IF_ERROR(start.create(context, true));
  AIR_RETURN_IF_ERROR(end.create(context, true));
  AIR_RETURN_IF_ERROR(start.record(stream));
  air::cuda::Graph graph;
  const auto fill_both = [&] {
    AIR_RETURN_IF_ERROR(stream.fill(first.address(), 7, 100));
    return stream.on_device(second.address(), first.address(), 100);
  };
  AIR_RETURN_IF_ERROR(graph.record(context, stream, fill_both));
  std::memset(host.data(), 1, 100);
  AIR_RETURN_IF_ERROR(stream.to_device(second.address(), host.data(), 100));
  AIR_RETURN_IF_ERROR(graph.launch(stream));
  AIR_RETURN_IF_ERROR(stream.to_host(host.data(), second.address(), 100));
  AIR_RETURN_IF_ERROR(end.record(stream));
  AIR_RETURN_IF_ERROR(end.synchronize());
  AIR_RETURN_IF_ERROR(stream.synchronize());
  float milliseconds = 0;
  AIR_RETURN_IF_ERROR(end.milliseconds_since(start, &milliseconds));
  for (int i = 0; i < 100; ++i) CHECK_EQ(int{host.data()[i]}, 7);
  return {};
}

}  // namespace

TEST(a_missing_driver_is_a_reason_and_not_a_crash) {
  std::shared_ptr<const Driver> driver;
  const Status missing = Driver::open("libair-no-such-library.so.1", &driver);
  CHECK(missing.code() == StatusCode::kNoDevice);
  CHECK(missing.message().find("libair-no-such-library.so.1") != std::string::npos);
  const Status other = Driver::open("libm.so.6", &driver);
  CHECK(other.code() == StatusCode::kNoDevice);
  CHECK_MSG(other.message().find("cuInit") != std::string::npos, other.message());
}

TEST(a_driver_that_is_too_old_or_has_no_device_is_refused) {
  std::shared_ptr<const Driver> driver;
  air_fake_cuda_reset();
  air_fake_cuda_set("version", 11030);
  const Status old = Driver::open(kLibrary, &driver);
  CHECK(old.code() == StatusCode::kNoDevice);
  CHECK_MSG(old.message().find("11.3") != std::string::npos, old.message());
  air_fake_cuda_reset();
  air_fake_cuda_set("devices", 0);
  const Status none = Driver::open(kLibrary, &driver);
  CHECK(none.code() == StatusCode::kNoDevice);
  CHECK_MSG(none.message().find("cuInit") != std::string::npos, none.message());
}

TEST(devices_are_listed_and_an_unknown_or_old_one_is_refused) {
  air_fake_cuda_reset();
  air_fake_cuda_set("devices", 2);
  air_fake_cuda_set("integrated", 1);
  std::shared_ptr<const Driver> driver;
  CHECK(Driver::open(kLibrary, &driver).ok());
  std::vector<air::cuda::DeviceInfo> devices;
  CHECK(air::cuda::list_devices(*driver, &devices).ok());
  CHECK_EQ(devices.size(), size_t{2});
  CHECK_EQ(devices[1].ordinal, 1);
  CHECK_EQ(devices[1].capability, 87);
  CHECK_EQ(devices[1].name, "Fake GPU");
  CHECK_EQ(devices[1].shared_bytes, 163 * 1024);
  CHECK(devices[1].is_integrated);
  std::shared_ptr<Context> context;
  CHECK(Context::create(driver, 2, &context).code() == StatusCode::kNoDevice);
  CHECK(Context::create(driver, -1, &context).code() == StatusCode::kNoDevice);
  air_fake_cuda_set("capability", 75);
  CHECK(Context::create(driver, 0, &context).code() == StatusCode::kUnsupported);
  CHECK_EQ(air_fake_cuda_live("all"), int64_t{0});
}

TEST(free_memory_of_an_integrated_device_is_that_of_the_system) {
  {
    const auto context = open_context();
    int64_t bytes = 0;
    CHECK(air::cuda::available_memory(*context, &bytes).ok());
    CHECK_EQ(bytes, int64_t{8} << 30);
    DeviceBuffer buffer;
    CHECK(buffer.allocate(context, 1 << 20, "a test").ok());
    CHECK(air::cuda::available_memory(*context, &bytes).ok());
    CHECK_EQ(bytes, (int64_t{8} << 30) - (1 << 20));
    const Status refused = buffer.allocate(context, int64_t{9} << 30, "a test");
    CHECK(refused.code() == StatusCode::kOutOfMemory);
    CHECK_MSG(refused.message().find("bytes of a test") != std::string::npos, refused.message());
    CHECK_EQ(air_fake_cuda_live("memory"), int64_t{0});
  }
  air_fake_cuda_reset();
  air_fake_cuda_set("integrated", 1);
  std::shared_ptr<const Driver> driver;
  CHECK(Driver::open(kLibrary, &driver).ok());
  std::shared_ptr<Context> context;
  CHECK(Context::create(driver, 0, &context).ok());
  int64_t bytes = 0;
  CHECK(air::cuda::available_memory(*context, &bytes).ok());
  CHECK(bytes > 0);
  CHECK_EQ(air_fake_cuda_calls("cuMemGetInfo_v2"), int64_t{0});
}

TEST(kernels_come_from_ptx_when_the_sass_is_refused) {
  using air::cuda::Kernels;
  const auto context = open_context();
  std::shared_ptr<const Kernels> kernels;
  CHECK(Kernels::load(context, {fake_image()}, &kernels).ok());
  CHECK_EQ(kernels->report().image, "sass");
  CHECK(kernels->report().sass_refused.empty());
  for (const int refusal : {air::cuda::kErrorInvalidImage, air::cuda::kErrorNoBinaryForGpu}) {
    air_fake_cuda_set("refuse_sass", refusal);
    CHECK(Kernels::load(context, {fake_image()}, &kernels).ok());
    CHECK_EQ(kernels->report().image, "ptx");
    CHECK(!kernels->report().sass_refused.empty());
  }
  air_fake_cuda_set("refuse_ptx", air::cuda::kErrorUnsupportedPtxVersion);
  kernels.reset();
  const Status both = Kernels::load(context, {fake_image()}, &kernels);
  CHECK(both.code() == StatusCode::kUnsupported);
  CHECK_MSG(both.message().find("SASS") != std::string::npos, both.message());
  CHECK(Kernels::load(context, {}, &kernels).code() == StatusCode::kNoDevice);
  CHECK_EQ(air_fake_cuda_live("module"), int64_t{0});
}

TEST(a_kernel_that_no_module_has_is_an_internal_error) {
  const auto context = open_context();
  std::shared_ptr<const air::cuda::Kernels> kernels;
  CHECK(air::cuda::Kernels::load(context, {fake_image()}, &kernels).ok());
  air::cuda::FunctionHandle function = nullptr;
  CHECK(kernels->find("air_no_such_kernel", 0, &function).code() == StatusCode::kInternal);
}

TEST(work_that_nobody_waits_for_is_not_done) {
  const auto context = open_context();
  const Context::Scope scope(*context);
  DeviceBuffer buffer;
  air::cuda::PinnedBuffer host;
  CHECK(buffer.allocate(context, 4, "a test").ok());
  CHECK(host.allocate(context, 4, "a test").ok());
  air::cuda::Stream stream;
  CHECK(stream.create(context).ok());
  host.data()[0] = 1;
  CHECK(stream.fill(buffer.address(), 9, 4).ok());
  CHECK(stream.to_host(host.data(), buffer.address(), 4).ok());
  CHECK_EQ(int{host.data()[0]}, 1);
  CHECK(stream.synchronize().ok());
  CHECK_EQ(int{host.data()[0]}, 9);
}

TEST(a_lost_context_refuses_everything_and_leaves_nothing_behind) {
  auto context = open_context();
  {
    const Context::Scope scope(*context);
    DeviceBuffer buffer;
    CHECK(buffer.allocate(context, 4, "a test").ok());
    air::cuda::Stream stream;
    CHECK(stream.create(context).ok());
    air_fake_cuda_fail("cuStreamSynchronize", 1, air::cuda::kErrorLaunchFailed);
    const Status lost = stream.synchronize();
    CHECK(lost.code() == StatusCode::kDevice);
    CHECK_MSG(lost.message().find("CUDA_ERROR_LAUNCH_FAILED") != std::string::npos, lost.message());
    CHECK(context->is_lost());
    CHECK(stream.synchronize().code() == StatusCode::kDevice);
    DeviceBuffer other;
    CHECK(other.allocate(context, 4, "a test").code() == StatusCode::kDevice);
  }
  context.reset();
  CHECK_EQ(air_fake_cuda_live("all"), int64_t{0});
  // The next context is a new one.
  CHECK_MSG(live_a_life().ok(), "after a lost context");
}

TEST(every_failing_call_is_a_typed_error_and_leaves_nothing_behind) {
  air_fake_cuda_reset();
  const Status whole = live_a_life();
  CHECK_MSG(whole.ok(), whole.message());
  CHECK_EQ(air_fake_cuda_live("all"), int64_t{0});
  std::vector<std::pair<std::string, int64_t>> calls;
#define AIR_COUNT_CALLS(member, name, parameters) calls.emplace_back(#name, air_fake_cuda_calls(#name));
  AIR_CUDA_FUNCTIONS(AIR_COUNT_CALLS)
#undef AIR_COUNT_CALLS
  int failures = 0;
  for (const auto& [name, count] : calls) {
    const bool is_release =
        name.find("Free") != std::string::npos || name.find("Destroy") != std::string::npos ||
        name.find("Release") != std::string::npos || name.find("Unload") != std::string::npos ||
        name.find("PopCurrent") != std::string::npos;
    if (is_release) continue;
    for (int nth = 1; nth <= count; ++nth) {
      for (const int result : {air::cuda::kErrorOutOfMemory, air::cuda::kErrorIllegalAddress}) {
        air_fake_cuda_reset();
        air_fake_cuda_fail(name.c_str(), nth, result);
        const Status status = live_a_life();
        // A refused scope of a destructor is not reported: its object is freed with the context.
        if (status.ok() && name == "cuCtxPushCurrent_v2") continue;
        const std::string where = name + " call " + std::to_string(nth) + ": " + status.message();
        const StatusCode expected =
            result == air::cuda::kErrorOutOfMemory ? StatusCode::kOutOfMemory : StatusCode::kDevice;
        CHECK_MSG(status.code() == expected, where);
        CHECK_MSG(status.message().find(name) != std::string::npos, where);
        if (name != "cuCtxPushCurrent_v2") CHECK_MSG(air_fake_cuda_live("all") == 0, where);
        ++failures;
      }
    }
  }
  CHECK(failures > 40);
}
