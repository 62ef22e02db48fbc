// Maths over rows of logits or probabilities, one block of up to 1024 threads for each row: native/core/row_ops.h on the
// device. float32 in and out, 4-byte aligned. Sums go as block_reduce.h orders them, each thread's share in order.
//
//   air_row_softmax   row = exp((row - max) / temperature) / sum, exp being the canonical one of air_kernels.h
//   air_row_sample    argmin over i of E_i / weight_i, E_i = -log(uniform of (key, id_i)): Gumbel sampling as a coupling,
//                     arXiv 2408.07978; random numbers by Philox4x32-10 (native/core/philox.h)
//   air_row_residual  max(0, target - draft) / sum (arXiv 2211.17192, section 2.3)
//
// launch: launch/row_ops.h
#include "kernels/cuda/block_reduce.h"
#include "kernels/cuda/row_params.h"

namespace air::cuda {
namespace {

// A token's draw, E_i / weight_i.
struct Draw {
  double ratio;
  int32_t index;  // -1: none
};

struct Words {
  uint32_t word[4];
};

AIR_DEVICE Words philox4x32(Words counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = static_cast<uint64_t>(counter.word[0]) * 0xd2511f53u;
    const uint64_t b = static_cast<uint64_t>(counter.word[2]) * 0xcd9e8d57u;
    counter = {{static_cast<uint32_t>(b >> 32) ^ counter.word[1] ^ key0, static_cast<uint32_t>(b),
                static_cast<uint32_t>(a >> 32) ^ counter.word[3] ^ key1, static_cast<uint32_t>(a)}};
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return counter;
}

// Last word of the counters of per-token draws, as in native/core/row_ops.cc.
constexpr uint32_t kTokenStream = 1;

AIR_DEVICE double uniform_of(const DeviceDrawKey& key, uint32_t id) {
  const Words words = philox4x32({{key.position, key.purpose, id / 4, kTokenStream}},
                                 static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
  const uint32_t lane = id % 4;
  const uint32_t word = lane == 0   ? words.word[0]
                        : lane == 1 ? words.word[1]
                        : lane == 2 ? words.word[2]
                                    : words.word[3];
  return (word + 0.5) / 4294967296.0;
}

AIR_DEVICE Draw least_draw(const SampleParams& p, int64_t row, bool* is_valid) {
  const float* weights = p.weights + row * p.cols;
  const DeviceDrawKey key = p.keys[row];
  Draw least = {0.0, -1};
  for (auto i = static_cast<int32_t>(thread_id()); i < p.cols; i += static_cast<int32_t>(block_threads())) {
    const float weight = weights[i];
    if (!(weight >= 0.0f) || weight > 3.4028234e38f) *is_valid = false;
    if (!(weight > 0.0f)) continue;
    const int32_t id = p.ids == nullptr ? i : p.ids[row * p.cols + i];
    const double uniform = uniform_of(key, static_cast<uint32_t>(id));
    // E = -log(uniform) < least * weight takes a uniform above exp(-least * weight) >= 1 - least * weight.
    if (least.index >= 0 && uniform <= 1.0 - least.ratio * weight) continue;
    const double ratio = -log(uniform) / weight;
    if (least.index < 0 || ratio < least.ratio) least = {ratio, i};
  }
  return least;
}

AIR_DEVICE float residual_at(const float* target, const float* draft, int32_t i) {
  const float difference = target[i] - draft[i];
  return difference > 0.0f ? difference : 0.0f;
}

}  // namespace
}  // namespace air::cuda

AIR_KERNEL(1024) air_row_softmax(air::cuda::SoftmaxParams p) {
  using namespace air::cuda;
  const auto index = static_cast<int64_t>(block_x());
  if (index >= *p.row_count) return;
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const auto thread = static_cast<int32_t>(thread_id());
  const auto step = static_cast<int32_t>(block_threads());
  float* row = p.rows + index * p.cols;
  const float temperature = p.temperatures[index];
  float largest = bits_float(0xff800000u);  // -infinity
  for (int32_t i = thread; i < p.cols; i += step) largest = row[i] > largest ? row[i] : largest;
  largest = block_max(largest, shared);
  float sum = 0.0f;
  for (int32_t i = thread; i < p.cols; i += step) {
    const float below = (row[i] - largest) / temperature;
    // What is so far below, -infinity too, has no share: the canonical exp would leave it 1e-38.
    row[i] = below < -87.0f ? 0.0f : canonical_exp(below);
    sum += row[i];
  }
  const float inverse = 1.0f / block_sum(sum, shared);
  for (int32_t i = thread; i < p.cols; i += step) row[i] *= inverse;
}

AIR_KERNEL(1024) air_row_sample(air::cuda::SampleParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int64_t>(block_x());
  if (row >= *p.row_count) return;
  auto* ratios = reinterpret_cast<double*>(shared_memory());
  auto* indices = reinterpret_cast<int32_t*>(ratios + kWarp);
  bool is_valid = true;
  Draw least = least_draw(p, row, &is_valid);
  // The least ratio, of equal ones the lowest index; a thread without a draw has none.
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    const Draw other = {shuffle_xor(least.ratio, distance), shuffle_xor(least.index, distance)};
    const bool is_less =
        other.ratio < least.ratio || (other.ratio == least.ratio && other.index < least.index);
    if (other.index >= 0 && (least.index < 0 || is_less)) least = other;
  }
  // A warp that met an invalid weight reports -2.
  if (vote_any(!is_valid)) least.index = -2;
  if (lane_id() == 0) {
    ratios[warp_id()] = least.ratio;
    indices[warp_id()] = least.index;
  }
  sync_threads();
  if (thread_id() != 0) return;
  for (uint32_t warp = 1; warp < block_threads() / kWarp; ++warp) {
    if (least.index == -2) break;
    const Draw other = {ratios[warp], indices[warp]};
    const bool is_less =
        other.ratio < least.ratio || (other.ratio == least.ratio && other.index < least.index);
    if (other.index == -2 || (other.index >= 0 && (least.index < 0 || is_less))) least = other;
  }
  p.indices[row] = least.index < 0 ? -1 : least.index;
}

AIR_KERNEL(1024) air_row_residual(air::cuda::ResidualParams p) {
  using namespace air::cuda;
  const auto row = static_cast<int64_t>(block_x());
  if (row >= *p.row_count) return;
  auto* shared = reinterpret_cast<float*>(shared_memory());
  const auto thread = static_cast<int32_t>(thread_id());
  const auto step = static_cast<int32_t>(block_threads());
  const float* target = p.target + row * p.cols;
  const float* draft = p.draft + row * p.cols;
  float* out = p.out + row * p.cols;
  float sum = 0.0f;
  for (int32_t i = thread; i < p.cols; i += step) sum += residual_at(target, draft, i);
  const float total = block_sum(sum, shared);
  const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
  for (int32_t i = thread; i < p.cols; i += step)
    out[i] = total > 0.0f ? residual_at(target, draft, i) * inverse : target[i];
}
