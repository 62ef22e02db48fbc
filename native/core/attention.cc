#include "native/core/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace air {

namespace {

// Cache indices per partial result. Part of the canonical order of sums: changing it changes low bits.
constexpr int64_t kSplitTokens = 512;
static_assert(kSplitTokens % AIR_ATTENTION_BLOCK == 0, "a split is made of whole blocks");

// Tiles times KV heads per thread from which whole tiles share out well enough; below, splits are tasks.
constexpr int64_t kTileTasksPerThread = 4;
// Splits that a thread takes at a time at most: the next one is fetched while one is computed.
constexpr int64_t kSplitsPerChunk = 16;

constexpr float kNothing = -std::numeric_limits<float>::infinity();

}  // namespace

Attention::Attention(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads)
    : kernels_(kernels),
      arena_(arena),
      workspace_(workspace),
      spec_(arena.model()->spec()),
      heads_(spec_.heads_per_group()),
      head_dim_(spec_.padded_head_dim()),
      tile_rows_(std::max<int64_t>(AIR_ATTENTION_MAX_QUERIES / heads_, 1)),
      partial_floats_((tile_rows_ * heads_ * (head_dim_ + 2) + 15) / 16 * 16),
      threads_(threads),
      thread_scratch_(static_cast<size_t>(threads * 2 * partial_floats_)) {}

Attention::Partial Attention::partial_at(float* base, int64_t index) const {
  float* at = base + index * partial_floats_;
  const int64_t queries = tile_rows_ * heads_;
  return {at + queries * head_dim_, at + queries * (head_dim_ + 1), at};
}

bool Attention::is_open(const Work& work, int64_t head) const {
  const LayerShape& shape = work.layer.shape;
  const int64_t query_head = shape.query_heads[static_cast<size_t>(work.kv_head.first_query + head)];
  return batch_->is_open(work.layer.index * spec_.query_heads + query_head);
}

void Attention::begin_step(const Batch& batch, const std::vector<ReadRange>& ranges) {
  batch_ = &batch;
  ranges_ = ranges.data();
}

// Each sequence has a page table of its own in each group; the first group's tells.
bool Attention::shares_cache(int32_t token, int32_t other) const {
  return ranges_[token].page_table == ranges_[other].page_table;
}

void Attention::make_tiles(int64_t row_count, Plan* plan) const {
  plan->tiles.clear();
  for (int64_t row = 0; row < row_count; ++row) {
    if (!plan->tiles.empty()) {
      Tile& tile = plan->tiles.back();
      if (tile.rows < tile_rows_ && shares_cache(plan->rows[tile.first_row], plan->rows[row])) {
        ++tile.rows;
        continue;
      }
    }
    plan->tiles.push_back({static_cast<int32_t>(row), 1});
  }
}

void Attention::make_plan(const int32_t* rows, int64_t row_count, Plan* plan) {
  plan->rows = rows;
  plan->row_count = row_count;
  plan->tasks.clear();
  plan->first_task.clear();
  make_tiles(row_count, plan);
  const auto tile_count = static_cast<int64_t>(plan->tiles.size());
  if (tile_count * spec_.kv_heads >= kTileTasksPerThread * threads_) return;
  for (int64_t tile = 0; tile < tile_count; ++tile) {
    const Tile& all = plan->tiles[static_cast<size_t>(tile)];
    const int32_t first = rows[all.first_row];
    const int32_t last = rows[all.first_row + all.rows - 1];
    int64_t longest = 0;
    for (int64_t group = 0; group < arena_.group_count(); ++group)
      longest = std::max<int64_t>(longest, ranges_[group * batch_->token_count() + last].end);
    plan->first_task.push_back(static_cast<int64_t>(plan->tasks.size()));
    for (int64_t split = 0; split == 0 || split * kSplitTokens < longest; ++split) {
      if (split > 0 && !is_read(first, last, split)) continue;
      plan->tasks.push_back({static_cast<int32_t>(tile), static_cast<int32_t>(split)});
    }
  }
  if (plan->tasks.size() == plan->tiles.size()) {  // one piece each: nothing to merge
    plan->tasks.clear();
    return;
  }
  plan->first_task.push_back(static_cast<int64_t>(plan->tasks.size()));
  const int64_t floats = static_cast<int64_t>(plan->tasks.size()) * spec_.kv_heads * partial_floats_;
  if (static_cast<int64_t>(split_partials_.size()) < floats)
    split_partials_.resize(static_cast<size_t>(floats));
}

// Whether tokens from `first` to `last`, those of a tile, read entries of the split for some KV head: what nobody
// reads takes neither time nor memory, however long the text.
bool Attention::is_read(int32_t first, int32_t last, int64_t split) const {
  const int64_t begin = split * kSplitTokens;
  for (int64_t group = 0; group < arena_.group_count(); ++group) {
    const ReadRange* ranges = ranges_ + group * batch_->token_count();
    const ReadRange& range = ranges[first];  // its window starts before the others'
    if (arena_.groups()[static_cast<size_t>(group)].members == 0 || begin >= ranges[last].end) continue;
    if (begin < range.sink_tokens || begin + kSplitTokens > range.window_start) return true;
  }
  return false;
}

void Attention::run_layer(int64_t index, const Plan& plan, bool quantize, Team& team) {
  const LayerShape& shape = arena_.model()->layers()[static_cast<size_t>(index)].shape;
  // Groups of 32 lie within a KV head's share of a row, but for odd head sizes, which are never pruned.
  const bool by_head = heads_ * spec_.head_dim % AIR_GROUP == 0;
  const Layer layer{index, shape, quantize && by_head};
  if (plan.tasks.empty()) {
    run_whole_tiles(layer, plan, team);
  } else {
    run_splits(layer, plan, team);
  }
  if (!quantize || by_head) return;
  const QuantizedRows& out = workspace_.attended;
  team.for_each(plan.row_count, 1,
                [&](int64_t row, int64_t) { out.quantize(kernels_, row * out.cols, out.cols); });
}

Attention::Work Attention::work_of(const Layer& layer, int64_t kv_head, const Plan& plan,
                                   int64_t tile) const {
  const Tile& rows = plan.tiles[static_cast<size_t>(tile)];
  return {layer,
          layer.shape.kv_heads[static_cast<size_t>(kv_head)],
          plan.rows + rows.first_row,
          rows.rows,
          rows.first_row,
          layer.quantize_heads};
}

int64_t Attention::read_length(const Work& work) const {
  const int32_t group = arena_.member(work.layer.index, work.kv_head.index).group;
  return group < 0 ? 0 : ranges_[group * batch_->token_count() + work.rows[work.row_count - 1]].end;
}

void Attention::run_whole_tiles(const Layer& layer, const Plan& plan, Team& team) {
  const auto tile_count = static_cast<int64_t>(plan.tiles.size());
  // KV heads outermost: neighbouring tiles of one head read the same pages.
  team.for_each(layer.shape.kv_count() * tile_count, 1, [&](int64_t item, int64_t) {
    const Work work = work_of(layer, item / tile_count, plan, item % tile_count);
    const Partial result = partial_at(thread_scratch_.data(), 2 * team.thread());
    const Partial next = partial_at(thread_scratch_.data(), 2 * team.thread() + 1);
    attend(work, 0, true, result);
    for (int64_t split = 1; split * kSplitTokens < read_length(work); ++split) {
      if (!is_read(work.rows[0], work.rows[work.row_count - 1], split)) continue;
      attend(work, split, true, next);
      merge(work, next, result);
    }
    finish(work, result);
  });
}

void Attention::run_splits(const Layer& layer, const Plan& plan, Team& team) {
  const auto task_count = static_cast<int64_t>(plan.tasks.size());
  const auto tile_count = static_cast<int64_t>(plan.tiles.size());
  const auto partial_of = [&](int64_t task, int64_t kv_head) {
    return partial_at(split_partials_.data(), task * spec_.kv_heads + kv_head);
  };
  team.for_each(layer.shape.kv_count() * task_count, kSplitsPerChunk, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const Task task = plan.tasks[static_cast<size_t>(item % task_count)];
      const int64_t kv_head = item / task_count;
      attend(work_of(layer, kv_head, plan, task.tile), task.split, item + 1 < end,
             partial_of(item % task_count, kv_head));
    }
  });
  const int64_t kv_count = layer.shape.kv_count();
  team.for_each(tile_count * kv_count, 1, [&](int64_t item, int64_t) {
    const int64_t tile = item / kv_count;
    const int64_t kv_head = item % kv_count;
    const Work work = work_of(layer, kv_head, plan, tile);
    const int64_t first = plan.first_task[static_cast<size_t>(tile)];
    const int64_t last = plan.first_task[static_cast<size_t>(tile + 1)];
    for (int64_t task = first + 1; task < last; ++task) {
      merge(work, partial_of(task, kv_head), partial_of(first, kv_head));
    }
    finish(work, partial_of(first, kv_head));
  });
}

void Attention::attend(const Work& work, int64_t split, bool goes_on, const Partial& out) {
  std::fill_n(out.running_max, work.query_count(), kNothing);
  std::fill_n(out.running_sum, work.query_count(), 0.0F);
  const KvArena::Member& member = arena_.member(work.layer.index, work.kv_head.index);
  const int64_t length = read_length(work);
  const int64_t begin = split * kSplitTokens;
  if (begin >= length) return;
  const ReadRange* ranges = ranges_ + member.group * batch_->token_count();
  const int64_t split_end = std::min(begin + kSplitTokens, length);
  int64_t ends[AIR_ATTENTION_MAX_QUERIES];
  int64_t window_starts[AIR_ATTENTION_MAX_QUERIES];
  for (int64_t row = 0; row < work.row_count; ++row) {
    ends[row] = std::min<int64_t>(ranges[work.rows[row]].end, split_end);
    window_starts[row] = ranges[work.rows[row]].window_start;
  }
  if (begin >= ranges[work.rows[0]].sink_tokens && split_end <= window_starts[0])
    return;  // between the sinks and every row's window
  AirAttentionArgs args{};
  args.layout = &arena_.layout();
  args.pages = arena_.member_pages(member);
  args.page_stride = arena_.member_page_stride(member);
  args.page_table = ranges[work.rows[0]].page_table;
  args.begin = begin;
  args.ends = ends;
  args.window_starts = window_starts;
  args.gap_begin = ranges[work.rows[0]].gap_begin;
  args.gap = ranges[work.rows[0]].gap;
  args.sink_tokens = ranges[work.rows[0]].sink_tokens;
  args.prefetch_end = goes_on ? length : split_end;
  const int64_t heads = work.kv_head.query_count;
  int64_t run = 0;
  for (int64_t head = 0; head < heads; head += std::max<int64_t>(run, 1)) {
    run = 0;  // open heads from here, computed by one call
    while (head + run < heads && run < AIR_ATTENTION_MAX_QUERIES && is_open(work, head + run)) ++run;
    if (run == heads) {
      attend_heads(work, 0, work.row_count, 0, heads, args, out);
    } else if (run > 0) {
      for (int64_t row = 0; row < work.row_count; ++row) attend_heads(work, row, 1, head, run, args, out);
    }
  }
}

void Attention::attend_heads(const Work& work, int64_t row, int64_t rows, int64_t head, int64_t count,
                             const AirAttentionArgs& args, const Partial& out) {
  int64_t first_query[AIR_ATTENTION_MAX_QUERIES];
  for (int64_t r = 0; r < rows; ++r) {
    first_query[r] = work.rows[row + r] * work.layer.shape.query_count() + work.kv_head.first_query + head;
  }
  AirAttentionArgs call = args;
  call.ends += row;
  call.window_starts += row;
  call.rows = static_cast<int32_t>(rows);
  call.heads = static_cast<int32_t>(count);
  call.first_query = first_query;
  workspace_.set_queries(&call);
  const int64_t at = row * work.kv_head.query_count + head;
  call.running_max = out.running_max + at;
  call.running_sum = out.running_sum + at;
  call.acc = out.acc + at * head_dim_;
  kernels_.attention(&call);
}

// The online softmax update with a whole partial result in place of a block (arXiv 1805.02867).
// A sum of zero says that nothing was read: the largest of what was read weighs 1.
void Attention::merge(const Work& work, const Partial& from, const Partial& into) const {
  for (int64_t query = 0; query < work.query_count(); ++query) {
    if (from.running_sum[query] == 0.0F) continue;
    const float* source = from.acc + query * head_dim_;
    float* target = into.acc + query * head_dim_;
    if (into.running_sum[query] == 0.0F) {
      into.running_max[query] = from.running_max[query];
      into.running_sum[query] = from.running_sum[query];
      std::copy_n(source, head_dim_, target);
      continue;
    }
    const float largest = std::max(into.running_max[query], from.running_max[query]);
    const float keep = std::exp(into.running_max[query] - largest);
    const float add = std::exp(from.running_max[query] - largest);
    into.running_max[query] = largest;
    into.running_sum[query] = into.running_sum[query] * keep + from.running_sum[query] * add;
    for (int64_t d = 0; d < head_dim_; ++d) target[d] = target[d] * keep + source[d] * add;
  }
}

void Attention::finish(const Work& work, const Partial& result) {
  const int64_t heads = work.kv_head.query_count;
  const int64_t cols = work.layer.shape.query_count() * spec_.head_dim;
  const int64_t first = work.first_row * cols + work.kv_head.first_query * spec_.head_dim;
  for (int64_t query = 0; query < work.query_count(); ++query) {
    const int64_t head = query % heads;
    float* out = workspace_.attended.values + first + query / heads * cols + head * spec_.head_dim;
    if (!is_open(work, head) || result.running_sum[query] == 0.0F) {
      std::fill_n(out, spec_.head_dim, 0.0F);
      continue;
    }
    const float inverse = 1.0F / result.running_sum[query];
    for (int64_t d = 0; d < spec_.head_dim; ++d) out[d] = result.acc[query * head_dim_ + d] * inverse;
  }
  if (!work.quantize) return;
  for (int64_t row = 0; row < work.row_count; ++row) {
    workspace_.attended.quantize(kernels_, first + row * cols, heads * spec_.head_dim);
  }
}

}  // namespace air
