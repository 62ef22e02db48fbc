// Row operations of a step: the activation of layers whose gate and up projections have launches of their own, the
// choice of rows that have logits, and drafting.
//
//   air_step_activate  y = silu(gate) * up, silu(a) = a / (1 + exp(-a)); float32 in, binary16 out, saturated
//                      launch (rows, ceil(cols / 256)) blocks of 256 threads
//   air_step_gather    to[row] = from[rows[row]] + bias; launch (rows) blocks of 256 threads
//   air_step_peak      the likeliest token of each row and its probability; launch (rows) blocks of n threads, a power
//                      of two up to 1024, and 16 n bytes of shared memory
//   air_step_feed      the next step's tokens; launch 1 block of 256 threads
#include "kernels/cuda/device.h"
#include "kernels/cuda/step_params.h"

namespace air::cuda {
namespace {

struct Peak {
  float value;
  int32_t index;  // -1: nothing yet
  int32_t nans;
};

// The larger of two, the lower index of equals.
AIR_DEVICE Peak better(const Peak& a, const Peak& b) {
  const bool takes_b =
      b.index >= 0 && (a.index < 0 || b.value > a.value || (b.value == a.value && b.index < a.index));
  const Peak& best = takes_b ? b : a;
  return {best.value, best.index, a.nans | b.nans};
}

AIR_DEVICE Peak thread_peak(const float* row, int32_t cols) {
  Peak peak = {0.0f, -1, 0};
  for (auto k = static_cast<int32_t>(thread_id()); k < cols; k += static_cast<int32_t>(block_threads())) {
    const float value = row[k];
    if (value != value) peak.nans = 1;
    if (peak.index < 0 || value > peak.value) peak = {value, k, peak.nans};
  }
  return peak;
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(256) air_step_activate(air::cuda::ActivateParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int64_t>(block_x());
  const auto k = static_cast<int32_t>(block_y() * 256 + thread_id());
  if (row >= *p.row_count || k >= p.cols) return;
  const float gate = p.gate[row * p.stride + k];
  p.y[row * p.y_stride + k] =
      float_to_half_saturated(gate / (1.0f + canonical_exp(-gate)) * p.up[row * p.stride + k]);
}

AIR_KERNEL(256) air_step_gather(air::cuda::GatherParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int64_t>(block_x());
  if (row >= *p.row_count) return;
  const float* from = p.from + (p.rows == nullptr ? row : p.rows[row]) * p.cols;
  float* to = p.to + row * p.cols;
  for (auto k = static_cast<int32_t>(thread_id()); k < p.cols; k += 256)
    to[k] = p.bias == nullptr ? from[k] : from[k] + p.bias[k];
}

AIR_KERNEL(1024) air_step_peak(air::cuda::PeakParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int32_t>(block_x());
  if (row >= *p.row_count) return;
  auto* peaks = reinterpret_cast<Peak*>(shared_memory());
  auto* sums = reinterpret_cast<float*>(peaks + block_threads());
  const float* logits = p.logits + static_cast<int64_t>(row) * p.cols;
  const uint32_t thread = thread_id();
  peaks[thread] = thread_peak(logits, p.cols);
  for (uint32_t width = block_threads() / 2; width > 0; width /= 2) {
    sync_threads();
    if (thread < width) peaks[thread] = better(peaks[thread], peaks[thread + width]);
  }
  sync_threads();
  const Peak peak = peaks[0];
  float sum = 0.0f;
  // As peak_probability(): what is below has, together, less than a hundredth of the largest one's probability.
  for (auto k = static_cast<int32_t>(thread); k < p.cols; k += static_cast<int32_t>(block_threads())) {
    const float below = logits[k] - peak.value;
    if (below > -16.0f) sum += canonical_exp(below);
  }
  sums[thread] = sum;
  for (uint32_t width = block_threads() / 2; width > 0; width /= 2) {
    sync_threads();
    if (thread < width) sums[thread] += sums[thread + width];
  }
  if (thread != 0) return;
  p.tokens[row] = peak.nans != 0 ? -1 : peak.index;
  p.probabilities[row] = 1.0f / sums[0];
}

AIR_KERNEL(256) air_step_feed(air::cuda::FeedParams p) {
  using namespace air::cuda;
  for (auto i = static_cast<int32_t>(thread_id()); i < *p.token_count; i += 256) {
    const int32_t token = p.drafted[p.source[i]];
    p.tokens[i] = token < 0 ? 0 : token;
  }
}
