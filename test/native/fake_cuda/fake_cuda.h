// A libcuda.so.1 for tests: runs the kernels in the emulator on host memory, on the CPU. Streams are lazy: work is done
// when somebody waits for it, so that a missing wait shows. Tests steer it by these functions, others by AIR_FAKE_CUDA,
// a list such as "devices=1,capability=87,integrated=0,memory=8589934592,refuse_sass=0,refuse_ptx=0,fail=cuMemAlloc_v2:3:2".
#ifndef AIR_TEST_NATIVE_FAKE_CUDA_FAKE_CUDA_H_
#define AIR_TEST_NATIVE_FAKE_CUDA_FAKE_CUDA_H_

#include <cstdint>

#define AIR_FAKE_EXPORT extern "C" __attribute__((visibility("default")))

// Back to the beginning, settings of the environment included; everything still there is freed.
AIR_FAKE_EXPORT void air_fake_cuda_reset();
// A setting as in AIR_FAKE_CUDA.
AIR_FAKE_EXPORT void air_fake_cuda_set(const char* name, int64_t value);
// The nth call from now of a function ("cuMemAlloc_v2") fails with the CUresult; "kernel" counts kernels as they run,
// "kernel:NAME" those of a name. A failure that loses the context (700, 719, ..) holds until the context is gone.
AIR_FAKE_EXPORT void air_fake_cuda_fail(const char* function, int nth, int result);
// Calls of a function since the reset; of "kernel" and "kernel:NAME" those that ran.
AIR_FAKE_EXPORT int64_t air_fake_cuda_calls(const char* function);
// Objects of a kind that are there: "memory", "host_memory", "stream", "event", "module", "graph", "context", "bytes" of
// device memory, or "all" objects.
AIR_FAKE_EXPORT int64_t air_fake_cuda_live(const char* kind);
// What the emulator said of the last kernel that failed in it, or "".
AIR_FAKE_EXPORT const char* air_fake_cuda_problem();

#endif  // AIR_TEST_NATIVE_FAKE_CUDA_FAKE_CUDA_H_
