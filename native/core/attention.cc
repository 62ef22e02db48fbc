#include "native/core/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace air {

namespace {

// Cache indices per partial result. Part of the canonical order of sums: changing it changes low bits.
constexpr int64_t kSplitTokens = 512;
static_assert(kSplitTokens % AIR_ATTENTION_BLOCK == 0, "a split is made of whole blocks");

// Rows times KV heads per thread from which whole rows share out well enough; below, splits are tasks.
constexpr int64_t kRowTasksPerThread = 4;
constexpr int64_t kRowsPerChunk = 4;

constexpr float kNothing = -std::numeric_limits<float>::infinity();

}  // namespace

Attention::Attention(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads)
    : kernels_(kernels),
      arena_(arena),
      workspace_(workspace),
      spec_(arena.model()->spec()),
      heads_(spec_.heads_per_group()),
      head_dim_(spec_.padded_head_dim()),
      partial_floats_((heads_ * (head_dim_ + 2) + 15) / 16 * 16),
      threads_(threads),
      thread_scratch_(static_cast<size_t>(threads * 2 * partial_floats_)) {}

Attention::Partial Attention::partial_at(float* base, int64_t index) const {
  float* at = base + index * partial_floats_;
  return {at + heads_ * head_dim_, at + heads_ * (head_dim_ + 1), at};
}

int64_t Attention::read_length(int64_t layer, int64_t kv_head, int32_t token) const {
  const int32_t group = arena_.member(layer, kv_head).group;
  return group < 0 ? 0 : ranges_[group * batch_->token_count() + token].end;
}

bool Attention::is_open(int64_t layer, int64_t query_head) const {
  return batch_->query_gates.empty() ||
         batch_->query_gates[static_cast<size_t>(layer * spec_.query_heads + query_head)] != 0;
}

void Attention::begin_step(const Batch& batch, const std::vector<ReadRange>& ranges) {
  batch_ = &batch;
  ranges_ = ranges.data();
}

void Attention::make_plan(const int32_t* rows, int64_t row_count, Plan* plan) {
  plan->rows = rows;
  plan->row_count = row_count;
  plan->tasks.clear();
  plan->first_task.clear();
  if (row_count * spec_.kv_heads >= kRowTasksPerThread * threads_) return;
  for (int64_t row = 0; row < row_count; ++row) {
    int64_t longest = 0;
    for (int64_t group = 0; group < arena_.group_count(); ++group) {
      longest = std::max<int64_t>(longest, ranges_[group * batch_->token_count() + rows[row]].end);
    }
    plan->first_task.push_back(static_cast<int64_t>(plan->tasks.size()));
    for (int64_t split = 0; split == 0 || split * kSplitTokens < longest; ++split) {
      plan->tasks.push_back({static_cast<int32_t>(row), static_cast<int32_t>(split)});
    }
  }
  plan->first_task.push_back(static_cast<int64_t>(plan->tasks.size()));
  const int64_t floats = static_cast<int64_t>(plan->tasks.size()) * spec_.kv_heads * partial_floats_;
  if (static_cast<int64_t>(split_partials_.size()) < floats)
    split_partials_.resize(static_cast<size_t>(floats));
}

void Attention::run_layer(int64_t layer, const Plan& plan, Team& team) {
  if (plan.tasks.empty()) {
    run_whole_rows(layer, plan, team);
  } else {
    run_splits(layer, plan, team);
  }
}

void Attention::run_whole_rows(int64_t layer, const Plan& plan, Team& team) {
  // KV heads outermost: neighbouring rows of one head read the same pages.
  team.for_each(spec_.kv_heads * plan.row_count, kRowsPerChunk, [&](int64_t begin, int64_t end) {
    const Partial result = partial_at(thread_scratch_.data(), 2 * team.thread());
    const Partial next = partial_at(thread_scratch_.data(), 2 * team.thread() + 1);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t kv_head = item / plan.row_count;
      const int64_t row = item % plan.row_count;
      const int32_t token = plan.rows[row];
      const int64_t length = read_length(layer, kv_head, token);
      attend(layer, token, kv_head, 0, std::min(kSplitTokens, length), result);
      for (int64_t first = kSplitTokens; first < length; first += kSplitTokens) {
        attend(layer, token, kv_head, first, std::min(first + kSplitTokens, length), next);
        merge(next, result);
      }
      finish(layer, row, kv_head, result);
    }
  });
}

void Attention::run_splits(int64_t layer, const Plan& plan, Team& team) {
  const auto task_count = static_cast<int64_t>(plan.tasks.size());
  team.for_each(spec_.kv_heads * task_count, 1, [&](int64_t item, int64_t) {
    const int64_t kv_head = item / task_count;
    const Task task = plan.tasks[static_cast<size_t>(item % task_count)];
    const int32_t token = plan.rows[task.row];
    const int64_t first = task.split * kSplitTokens;
    attend(layer, token, kv_head, first, std::min(first + kSplitTokens, read_length(layer, kv_head, token)),
           partial_at(split_partials_.data(), item % task_count * spec_.kv_heads + kv_head));
  });
  team.for_each(plan.row_count * spec_.kv_heads, 1, [&](int64_t item, int64_t) {
    const int64_t row = item / spec_.kv_heads;
    const int64_t kv_head = item % spec_.kv_heads;
    const int64_t first = plan.first_task[static_cast<size_t>(row)];
    const int64_t last = plan.first_task[static_cast<size_t>(row + 1)];
    const Partial result = partial_at(split_partials_.data(), first * spec_.kv_heads + kv_head);
    for (int64_t task = first + 1; task < last; ++task) {
      merge(partial_at(split_partials_.data(), task * spec_.kv_heads + kv_head), result);
    }
    finish(layer, row, kv_head, result);
  });
}

void Attention::attend(int64_t layer, int32_t token, int64_t kv_head, int64_t begin, int64_t end,
                       const Partial& out) {
  std::fill_n(out.running_max, heads_, kNothing);
  std::fill_n(out.running_sum, heads_, 0.0F);
  const KvArena::Member& member = arena_.member(layer, kv_head);
  if (member.group < 0 || begin >= end) return;
  const ReadRange& range = ranges_[member.group * batch_->token_count() + token];
  AirAttentionArgs args{};
  args.layout = &arena_.layout();
  args.pages = arena_.member_pages(member);
  args.page_stride = arena_.groups()[static_cast<size_t>(member.group)].page_bytes;
  args.page_table = range.page_table;
  args.begin = begin;
  args.end = end;
  args.sink_tokens = range.sink_tokens;
  args.window_start = range.window_start;
  const int64_t first_query_head = kv_head * heads_;
  int64_t run = 0;
  for (int64_t head = 0; head < heads_; head += std::max<int64_t>(run, 1)) {
    run = 0;  // open heads from here, computed by one call
    while (head + run < heads_ && run < AIR_ATTENTION_MAX_HEADS &&
           is_open(layer, first_query_head + head + run))
      ++run;
    if (run == 0) continue;
    const int64_t index = token * spec_.query_heads + first_query_head + head;
    args.heads = static_cast<int32_t>(run);
    args.q = workspace_.rotated.values + index * head_dim_;
    args.q_int8 = workspace_.rotated.q + index * head_dim_;
    args.q_scales = workspace_.rotated.scales + index * (head_dim_ / AIR_GROUP);
    args.q_sums16 = workspace_.rotated.sums16 + index * (head_dim_ / AIR_STRIPE);
    args.sink_q = workspace_.rotated_sink.values + index * head_dim_;
    args.sink_q_int8 = workspace_.rotated_sink.q + index * head_dim_;
    args.sink_q_scales = workspace_.rotated_sink.scales + index * (head_dim_ / AIR_GROUP);
    args.sink_q_sums16 = workspace_.rotated_sink.sums16 + index * (head_dim_ / AIR_STRIPE);
    args.running_max = out.running_max + head;
    args.running_sum = out.running_sum + head;
    args.acc = out.acc + head * head_dim_;
    kernels_.attention(&args);
  }
}

// The online softmax update with a whole partial result in place of a block (arXiv 1805.02867).
void Attention::merge(const Partial& from, const Partial& into) const {
  for (int64_t head = 0; head < heads_; ++head) {
    if (from.running_max[head] == kNothing) continue;
    const float* source = from.acc + head * head_dim_;
    float* target = into.acc + head * head_dim_;
    if (into.running_max[head] == kNothing) {
      into.running_max[head] = from.running_max[head];
      into.running_sum[head] = from.running_sum[head];
      std::copy_n(source, head_dim_, target);
      continue;
    }
    const float largest = std::max(into.running_max[head], from.running_max[head]);
    const float keep = std::exp(into.running_max[head] - largest);
    const float add = std::exp(from.running_max[head] - largest);
    into.running_max[head] = largest;
    into.running_sum[head] = into.running_sum[head] * keep + from.running_sum[head] * add;
    for (int64_t d = 0; d < head_dim_; ++d) target[d] = target[d] * keep + source[d] * add;
  }
}

void Attention::finish(int64_t layer, int64_t row, int64_t kv_head, const Partial& result) {
  for (int64_t head = 0; head < heads_; ++head) {
    const int64_t query_head = kv_head * heads_ + head;
    float* out = workspace_.attended.values + row * workspace_.attended.cols + query_head * spec_.head_dim;
    if (!is_open(layer, query_head) || result.running_max[head] == kNothing) {
      std::fill_n(out, spec_.head_dim, 0.0F);
      continue;
    }
    const float inverse = 1.0F / result.running_sum[head];
    for (int64_t d = 0; d < spec_.head_dim; ++d) out[d] = result.acc[head * head_dim_ + d] * inverse;
  }
}

}  // namespace air
