// A tiny model on the fake CUDA device. Only for test binaries that link it.
#ifndef AIR_TEST_NATIVE_SUPPORT_CUDA_DEVICE_H_
#define AIR_TEST_NATIVE_SUPPORT_CUDA_DEVICE_H_

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "native/cuda/device_model.h"
#include "native/cuda/device_pages.h"
#include "native/cuda/runner.h"
#include "test/native/check.h"
#include "test/native/fake_cuda/fake_cuda.h"
#include "test/native/support/tiny_engine.h"

namespace air_test {

// An image that the fake driver takes, whatever this build has been compiled with.
inline air::cuda::KernelImage fake_image() {
  static const uint8_t fatbin[] = {0x50, 0xed, 0x55, 0xba, 0, 0, 0, 0};
  return {"fake", fatbin, sizeof(fatbin), ".version 7.4\n"};
}

// Matrices that are there already.
class PackedMatrices final : public air::MatrixSource {
 public:
  air::Status provide(const AirMatrix* const*, int) override { return {}; }
};

inline air::Status load_device_model(const air::Model& model, int64_t first_layer,
                                     std::shared_ptr<const air::cuda::DeviceModel>* out) {
  std::shared_ptr<const air::cuda::Driver> driver;
  AIR_RETURN_IF_ERROR(air::cuda::Driver::open(AIR_FAKE_CUDA_LIBRARY, &driver));
  std::shared_ptr<air::cuda::Context> context;
  AIR_RETURN_IF_ERROR(air::cuda::Context::create(driver, 0, &context));
  std::shared_ptr<const air::cuda::Kernels> kernels;
  AIR_RETURN_IF_ERROR(air::cuda::Kernels::load(context, {fake_image()}, &kernels));
  air::ThreadPool pool;
  AIR_RETURN_IF_ERROR(pool.start(1));
  PackedMatrices matrices;
  return air::cuda::DeviceModel::create(kernels, model, first_layer, pool, matrices, out);
}

// As make_engine(), with the layers from first_layer on on the device.
inline air::Status make_cuda_engine(const TinyModel& tiny, const EngineOptions& options, Engine* engine,
                                    int64_t first_layer = 0) {
  std::shared_ptr<const air::cuda::DeviceModel> device;
  AIR_RETURN_IF_ERROR(load_device_model(*tiny.model, first_layer, &device));
  engine->pages_per_sequence = (options.max_context + options.page_tokens - 1) / options.page_tokens;
  const air::ArenaOptions arena_options = arena_options_of(tiny, options);
  AIR_RETURN_IF_ERROR(air::KvArena::create(tiny.model, arena_options, first_layer,
                                           air::cuda::device_page_maker(device->shared_context()),
                                           &engine->arena));
  air::RunnerOptions runner_options;
  runner_options.max_tokens = options.max_context;
  runner_options.max_sequences = options.sequences;
  return air::cuda::CudaRunner::create(device, best_kernels(), engine->arena, runner_options,
                                       &engine->runner);
}

inline Engine make_device_engine(const TinyModel& tiny, const EngineOptions& options,
                                 int64_t first_layer = 0) {
  Engine engine;
  const air::Status status = make_cuda_engine(tiny, options, &engine, first_layer);
  CHECK_MSG(status.ok(), status.message());
  return engine;
}

// As run(), and nothing that the emulator objects to.
inline std::vector<float> run_or_fail(Engine& engine, const air::Batch& batch) {
  std::vector<float> logits = run(engine, batch);
  const std::string problem = air_fake_cuda_problem();
  CHECK_MSG(problem.empty(), problem);
  return logits;
}

// |a - b| / |b| as vectors.
template <typename A, typename B>
double distance(const std::vector<A>& a, const std::vector<B>& b) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_SUPPORT_CUDA_DEVICE_H_
