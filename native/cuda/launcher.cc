#include "native/cuda/launcher.h"

namespace air::cuda {

Status Launcher::queue(const char* name, const LaunchShape& shape, void** parameters) {
  Function& function = functions_[name];
  if (function.shared_bytes < int64_t{shape.shared_bytes}) {
    AIR_RETURN_IF_ERROR(kernels_->find(name, shape.shared_bytes, &function.handle));
    function.shared_bytes = shape.shared_bytes;
  }
  if (is_rehearsal_) return {};
  return AIR_CUDA_TRY(kernels_->context(), launch, std::string("the kernel ") + name, function.handle,
                      shape.grid_x, shape.grid_y, shape.grid_z, shape.threads, 1, 1, shape.shared_bytes,
                      stream_.handle(), parameters, nullptr);
}

}  // namespace air::cuda
