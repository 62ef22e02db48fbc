// The kernel tests on a real device: AIR_KERNEL_TESTS_DEVICE=cuda runs the same test binaries with the kernels that nvcc
// compiled instead of the emulator. Nothing is checked there but results; compute-sanitizer does the rest.
#ifndef AIR_TEST_KERNELS_SUPPORT_GPU_H_
#define AIR_TEST_KERNELS_SUPPORT_GPU_H_

#include <cstddef>

#include "kernels/cuda/launch/shape.h"
#include "test/kernels/emulator/emulator.h"

namespace air_test::gpu {

// Whether this run is on a device. When it should be and none can be used, every launch fails with the reason.
bool in_use();

// Null when there is no memory.
void* allocate(size_t bytes);
void release(void* address);
void fill(void* to, uint8_t value, size_t bytes);
void upload(void* to, const void* from, size_t bytes);
void download(void* to, const void* from, size_t bytes);

// Runs a kernel by name and waits for it.
air::emulator::Result launch(const char* kernel, const air::cuda::LaunchShape& shape, void** parameters);

// For tests of what a device does not do: prints why they are left out and returns true on one.
bool skips_on_device(const char* reason);

}  // namespace air_test::gpu

#endif  // AIR_TEST_KERNELS_SUPPORT_GPU_H_
