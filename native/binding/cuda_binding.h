// CUDA devices for the binding.
#ifndef AIR_BINDING_CUDA_BINDING_H_
#define AIR_BINDING_CUDA_BINDING_H_

#include <napi.h>

#include <memory>

#include "native/core/status.h"
#include "native/cuda/context.h"
#include "native/cuda/module.h"

namespace air::binding {

// listCudaDevices() and probeCudaDevice(): see lib/native/native.ts.
Napi::Value list_cuda_devices(const Napi::CallbackInfo& info);

// A device with the kernels of this build loaded.
Status open_cuda_device(int ordinal, std::shared_ptr<const cuda::Kernels>* kernels);

constexpr int64_t kMaxDevice = 255;  // index of a device

Napi::Value probe_cuda_device(const Napi::CallbackInfo& info);

// LoadedDevice of lib/native/native.ts.
Napi::Object describe_loaded(Napi::Env env, const cuda::Kernels& kernels);

}  // namespace air::binding

#endif  // AIR_BINDING_CUDA_BINDING_H_
