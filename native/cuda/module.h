// The kernels of a build, loaded into a context.
#ifndef AIR_CUDA_MODULE_H_
#define AIR_CUDA_MODULE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/status.h"
#include "native/cuda/context.h"
#include "native/cuda/images.h"

namespace air::cuda {

// What was loaded, for `air doctor`.
struct ModuleReport {
  std::string image;         // "sass", "ptx" when every file needed it, or "mixed"
  int64_t load_micros = 0;   // the driver's compilation included
  std::string sass_refused;  // why PTX was taken, or empty
};

class Kernels {
 public:
  // AIR_ERR_UNSUPPORTED when the driver takes neither the SASS nor the PTX of a file, with both reasons.
  static Status load(std::shared_ptr<Context> context, const std::vector<KernelImage>& images,
                     std::shared_ptr<const Kernels>* kernels);
  ~Kernels();
  Kernels(const Kernels&) = delete;
  Kernels& operator=(const Kernels&) = delete;

  // A kernel by the name in its .cu file, allowed to use `shared_bytes` of dynamic shared memory.
  Status find(const char* name, int64_t shared_bytes, FunctionHandle* function) const;

  const ModuleReport& report() const { return report_; }
  Context& context() const { return *context_; }
  const std::shared_ptr<Context>& shared_context() const { return context_; }

 private:
  explicit Kernels(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  Status load_image(const KernelImage& image);

  const std::shared_ptr<Context> context_;
  std::vector<ModuleHandle> modules_;
  int from_ptx_ = 0;
  ModuleReport report_;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_MODULE_H_
