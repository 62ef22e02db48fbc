// Kernels that break one rule of the GPU each, chosen by `plant`; with kNothing they are right.
#ifndef AIR_TEST_KERNELS_PROBES_FAULTS_H_
#define AIR_TEST_KERNELS_PROBES_FAULTS_H_

#include <stdint.h>

namespace probe {

enum Plant : int32_t {
  kNothing,
  // barriers
  kBarrierInBranch,
  kTwoBarriers,
  kExitBeforeBarrier,
  kWarpAgainstBlock,
  // warps
  kLaneExited,
  kOtherInstruction,
  kOtherMask,
  kNotInOwnMask,
  kSourceOutsideMask,
  kLaneMissingInBlock,
  // addresses
  kReadPastEnd,
  kReadBeforeBegin,
  kWriteReadOnly,
  kWriteUnregistered,
  kSharedPastEnd,
  kMatrixRowInGlobal,
  kMatrixRowPastEnd,
  kVectorMisaligned,
  kWordMisaligned,
  kCopyMisaligned,
  kMatrixRowMisaligned,
  kCopyPastEnd,
  // contents
  kSharedUninitialised,
  kGlobalUninitialised,
  // order
  kNoBarrier,
  kNoBarrierBeforeRewrite,
  kNoWarpSync,
  kPartialWarpSync,
  kBlocksWriteOne,
  kNoFence,
  kNoAtomic,
  // cp.async
  kNoWait,
  kWaitForTooFew,
  kNoBarrierAfterWait,
  kNoCommit,
  kRefillWhileRead,
  kWriteDuringCopy,
  // others
  kEndlessLoop,
  kArrayIndex,
  kShift,
};

}  // namespace probe

// out[i] = in[i ^ 1] + 1 through shared memory, one block. in, out: [threads]
extern "C" void probe_exchange(const float* in, float* out, int32_t plant);
// out[i] = sum of in over the warp of i, through shared memory and shuffles. in, out: [threads]
extern "C" void probe_warp_sum(const float* in, float* out, int32_t plant);
// out[0] = sum of in over all blocks: each writes a partial sum, the last one to finish adds them.
// in: [blocks, threads], partials: [blocks], counter: 0
extern "C" void probe_last_block(const float* in, float* partials, uint32_t* counter, float* out,
                                 int32_t plant);
// out[i] = in[i] + 1 over tiles of 4 floats per thread, copied ahead into two stages. in, out: [tiles, threads, 4]
extern "C" void probe_pipeline(const float* in, float* out, int32_t tiles, int32_t plant);
// Accesses at wrong places. in, out: [threads, 4]
extern "C" void probe_addresses(const float* in, float* out, int32_t plant);

#endif  // AIR_TEST_KERNELS_PROBES_FAULTS_H_
