// Kernel launches by name on one stream.
#ifndef AIR_CUDA_LAUNCHER_H_
#define AIR_CUDA_LAUNCHER_H_

#include <memory>
#include <string>
#include <unordered_map>

#include "kernels/cuda/launch/shape.h"
#include "native/core/status.h"
#include "native/cuda/module.h"
#include "native/cuda/stream.h"

namespace air::cuda {

// Calls need a Context::Scope on the calling thread.
class Launcher {
 public:
  // The kernels outlive it.
  Status create(const Kernels& kernels) {
    kernels_ = &kernels;
    return stream_.create(kernels.shared_context());
  }

  // Queues a kernel whose only parameter is a struct.
  template <typename Parameters>
  Status launch(const char* name, const LaunchShape& shape, const Parameters& parameters) {
    void* pointers[] = {const_cast<Parameters*>(&parameters)};
    return queue(name, shape, pointers);
  }

  // While it is on, launches only look up their kernels: drivers may load a kernel when it is first asked for, which
  // must not happen while a stream records.
  void rehearse(bool is_on) { is_rehearsal_ = is_on; }

  Stream& stream() { return stream_; }

 private:
  struct Function {
    FunctionHandle handle = nullptr;
    int64_t shared_bytes = -1;  // that it is allowed to use
  };
  Status queue(const char* name, const LaunchShape& shape, void** parameters);

  const Kernels* kernels_ = nullptr;
  Stream stream_;
  std::unordered_map<std::string, Function> functions_;
  bool is_rehearsal_ = false;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_LAUNCHER_H_
