// KV pages in device memory.
#ifndef AIR_CUDA_DEVICE_PAGES_H_
#define AIR_CUDA_DEVICE_PAGES_H_

#include <memory>

#include "native/core/page_memory.h"
#include "native/cuda/context.h"

namespace air::cuda {

// For KvArena::create: pages of the device that the context is of, in the layout of kernels/cuda/kv_layout.h.
PageMemoryMaker device_page_maker(std::shared_ptr<Context> context);

}  // namespace air::cuda

#endif  // AIR_CUDA_DEVICE_PAGES_H_
