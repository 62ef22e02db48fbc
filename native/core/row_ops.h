// Maths over rows of logits: mechanism only, the caller brings the randomness.
#ifndef AIR_CORE_ROW_OPS_H_
#define AIR_CORE_ROW_OPS_H_

#include <cstdint>

namespace air {

// In place: row = softmax(row / temperature). temperature > 0.
void softmax_row(float* row, int64_t count, float temperature) noexcept;

// Lowest index among the largest values; -1 when the row holds NaN.
int32_t argmax_row(const float* row, int64_t count) noexcept;

// The k largest values in descending order, ties by lower index; NaN sorts last. 1 <= k <= count.
// Allocates k entries; throws std::bad_alloc.
void top_k_row(const float* row, int64_t count, int64_t k, int32_t* out_ids, float* out_values);

// Names the random numbers of one draw; lib/util/rng.ts says which draws there are.
struct DrawKey {
  uint64_t seed = 0;
  uint32_t position = 0;
  uint32_t purpose = 0;
};

// An index i with probability weights[i] / total: the one whose E_i / weights[i] is least, where E_i is the exponential
// variate of (key, ids[i]). A token's variate does not depend on the other tokens, so draws from similar distributions
// with one key mostly agree (Gumbel sampling as a coupling, arXiv 2408.07978). ids: [count], or null for 0 .. count - 1.
// -1 when no weight is positive, or one is negative or not finite.
int32_t sample_row(const float* weights, const int32_t* ids, int64_t count, const DrawKey& key) noexcept;

// The largest probability of softmax(row), where row[best] is the largest value.
float peak_probability(const float* row, int64_t count, int64_t best) noexcept;

// log(sum(exp(row))) in float64.
double log_sum_exp_row(const float* row, int64_t count) noexcept;

// Kullback-Leibler divergence of softmax(logits) from softmax(reference), in nats, at least 0.
double divergence_row(const float* reference, const float* logits, int64_t count) noexcept;

// out = normalise(max(0, target - draft)), the residual distribution of speculative sampling
// (arXiv 2211.17192, section 2.3). Equal rows have no residual: out = target then. out may be target.
void residual_row(const float* target, const float* draft, int64_t count, float* out) noexcept;

}  // namespace air

#endif  // AIR_CORE_ROW_OPS_H_
