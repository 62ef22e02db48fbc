// Which instruction sets this build and machine can run, and the kernels to use.
#ifndef AIR_CORE_ISA_H_
#define AIR_CORE_ISA_H_

#include <string>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/status.h"

namespace air {

// Compiled in and usable on this CPU and operating system, best first; the reference is always last.
const std::vector<const AirKernelTable*>& usable_kernels();

// The best usable table, or the one that AIR_FORCE_ISA names. A name that is unknown or not usable here is
// AIR_ERR_UNSUPPORTED, never a fallback. Reads the environment at every call.
Status select_kernels(const AirKernelTable** kernels);

// The same among the tables that read weights of this layout.
Status select_kernels(AirLayout layout, const AirKernelTable** kernels);

}  // namespace air

#endif  // AIR_CORE_ISA_H_
