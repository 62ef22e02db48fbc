// What the benches of CUDA kernels share: the device with its kernels, timing of recorded work, and its ceilings.
#ifndef AIR_BENCH_KERNELS_CUDA_BENCH_H_
#define AIR_BENCH_KERNELS_CUDA_BENCH_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "native/core/status.h"
#include "native/cuda/context.h"
#include "native/cuda/launcher.h"
#include "native/cuda/memory.h"
#include "native/cuda/module.h"

namespace air_bench {

// Prints the status and ends the process when it is a failure.
void require(const air::Status& status);

struct CudaCeilings {
  double read_gbps = 0;      // kernels/cuda/ceilings.cu
  double copy_gbps = 0;      // the driver's copy on the device, bytes read and written
  double matrix_tflops = 0;  // mma.m16n8k16, float16 to float32
};

class CudaBench {
 public:
  // The first device. With is_trial, ceilings and repeats are small: for a run in the emulator.
  explicit CudaBench(bool is_trial);

  const air::cuda::DeviceInfo& device() const { return context_->device(); }
  const std::shared_ptr<air::cuda::Context>& context() const { return context_; }
  air::cuda::Launcher& launcher() { return launcher_; }
  bool is_trial() const { return is_trial_; }

  void upload(air::cuda::DevicePointer to, const void* from, int64_t bytes);
  void download(void* to, air::cuda::DevicePointer from, int64_t bytes);

  // Median seconds of the work that `enqueue` queues, recorded as a graph, so that launches from the host do not
  // show.
  double time(const std::function<air::Status()>& enqueue);

  CudaCeilings measure_ceilings();

 private:
  const bool is_trial_;
  std::shared_ptr<air::cuda::Context> context_;
  std::shared_ptr<const air::cuda::Kernels> kernels_;
  std::unique_ptr<air::cuda::Context::Scope> scope_;
  air::cuda::Launcher launcher_;
};

}  // namespace air_bench

#endif  // AIR_BENCH_KERNELS_CUDA_BENCH_H_
