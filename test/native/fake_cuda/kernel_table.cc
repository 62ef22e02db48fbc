#include "test/native/fake_cuda/kernel_table.h"

#include <algorithm>

#include "test/kernels/emulator/emulator.h"

namespace fake {

std::vector<Kernel>& kernel_table() {
  static std::vector<Kernel> table;
  return table;
}

const Kernel* find_kernel(const std::string& name) {
  const std::vector<Kernel>& table = kernel_table();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Kernel& kernel) { return kernel.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::string emulate(const Kernel& kernel, const Launch& launch) {
  air::emulator::Shape shape;
  shape.grid_x = launch.grid[0];
  shape.grid_y = launch.grid[1];
  shape.grid_z = launch.grid[2];
  shape.threads = launch.threads;
  shape.shared_bytes = launch.shared_bytes;
  // These kernels are not instrumented, and their memory is that of the fake device.
  air::emulator::set_memory_checks(false);
  const air::emulator::Result result = air::emulator::launch(kernel.name.c_str(), shape, launch.body);
  return result.ok() ? "" : result.message;
}

}  // namespace fake
