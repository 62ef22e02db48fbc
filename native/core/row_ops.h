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

// First index whose running float64 sum, in index order, exceeds uniform * total; the last index of positive
// weight when rounding leaves none. -1 when the total is not a positive finite number.
int32_t sample_row(const float* weights, int64_t count, double uniform) noexcept;

// log(sum(exp(row))) in float64.
double log_sum_exp_row(const float* row, int64_t count) noexcept;

// out = normalise(max(0, target - draft)), the residual distribution of speculative sampling
// (arXiv 2211.17192, section 2.3). Equal rows have no residual: out = target then. out may be target.
void residual_row(const float* target, const float* draft, int64_t count, float* out) noexcept;

}  // namespace air

#endif  // AIR_CORE_ROW_OPS_H_
