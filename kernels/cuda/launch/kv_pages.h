// KV pages between the layout of the CPU's kernels and that of a device: copies of the host, for saved sessions and
// tests.
#ifndef AIR_KERNELS_CUDA_LAUNCH_KV_PAGES_H_
#define AIR_KERNELS_CUDA_LAUNCH_KV_PAGES_H_

#include <stdint.h>

#include "kernels/include/air_formats.h"

namespace air::cuda {

// One member of one page: layout.member_bytes from `member` (air_formats.h) to `device_member` (kv_layout.h), and back.
// The two do not overlap. Exact: either is the inverse of the other.
void member_to_device(const AirKvLayout& layout, const uint8_t* member, uint8_t* device_member);
void member_from_device(const AirKvLayout& layout, const uint8_t* device_member, uint8_t* member);

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_LAUNCH_KV_PAGES_H_
