// The kernels of kernels/cuda, compiled as C++ for the emulator, by name.
#ifndef AIR_TEST_NATIVE_FAKE_CUDA_KERNEL_TABLE_H_
#define AIR_TEST_NATIVE_FAKE_CUDA_KERNEL_TABLE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace fake {

// One launch: the parameters are copied when it is queued, as the driver does.
struct Launch {
  uint32_t grid[3];
  uint32_t threads;
  uint32_t shared_bytes;
  std::function<void()> body;  // the kernel with its parameters, for one thread
};

struct Kernel {
  std::string name;
  // Binds the parameters that a launch points to.
  std::function<std::function<void()>(void** parameters)> bind;
};

// All kernels. The files that CMake makes from each .cu add theirs before main().
std::vector<Kernel>& kernel_table();
const Kernel* find_kernel(const std::string& name);

// Runs all blocks. Empty, or what the emulator found wrong.
std::string emulate(const Kernel& kernel, const Launch& launch);

template <typename... Parameters, size_t... Indices>
std::tuple<Parameters...> copy_parameters(void** parameters, std::index_sequence<Indices...>) {
  (void)parameters;
  return {*static_cast<Parameters*>(parameters[Indices])...};
}

template <typename... Parameters>
bool add_kernel(const char* name, void (*function)(Parameters...)) {
  kernel_table().push_back({name, [function](void** parameters) -> std::function<void()> {
                              auto values = copy_parameters<Parameters...>(
                                  parameters, std::index_sequence_for<Parameters...>{});
                              return [function, values] { std::apply(function, values); };
                            }});
  return true;
}

}  // namespace fake

#endif  // AIR_TEST_NATIVE_FAKE_CUDA_KERNEL_TABLE_H_
