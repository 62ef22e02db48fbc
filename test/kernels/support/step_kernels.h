// The kernels of a step's small operations, as functions of the emulator.
#ifndef AIR_TEST_KERNELS_SUPPORT_STEP_KERNELS_H_
#define AIR_TEST_KERNELS_SUPPORT_STEP_KERNELS_H_

#include "kernels/cuda/step_params.h"

extern "C" {
void air_step_embed(air::cuda::EmbedParams p);
void air_step_norm(air::cuda::NormParams p);
void air_step_rope(air::cuda::RopeWriteParams p);
void air_step_activate(air::cuda::ActivateParams p);
void air_step_gather(air::cuda::GatherParams p);
void air_step_peak(air::cuda::PeakParams p);
void air_step_feed(air::cuda::FeedParams p);
}

#endif  // AIR_TEST_KERNELS_SUPPORT_STEP_KERNELS_H_
