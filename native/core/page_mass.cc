#include "native/core/page_mass.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace air {

PageMass::PageMass(const AirKernelTable& kernels, KvArena& arena, const Workspace& workspace, int threads)
    : kernels_(kernels), arena_(arena), workspace_(workspace), threads_(threads) {}

void PageMass::begin_step(const Batch& batch, const std::vector<ReadRange>& ranges) {
  batch_ = &batch;
  ranges_ = ranges.data();
  const auto cells = static_cast<int64_t>(batch.page_tables.size());
  const DecoderSpec& spec = arena_.model()->spec();
  table_pages_ = cells / (arena_.group_count() * batch.sequence_count());
  mass_.assign(static_cast<size_t>(spec.kv_heads * cells), 0.0);
  scratch_floats_ =
      2 * table_pages_ * spec.heads_per_group() + AIR_ATTENTION_MAX_QUERIES * spec.padded_head_dim();
  scratch_.resize(static_cast<size_t>(threads_ * scratch_floats_));
}

PageMass::Scores PageMass::scratch_of(int64_t thread) {
  float* at = scratch_.data() + thread * scratch_floats_;
  const int64_t scores = table_pages_ * arena_.model()->spec().heads_per_group();
  return {at, at + scores, at + 2 * scores};
}

const ReadRange& PageMass::range_of(int64_t group, int64_t token) const {
  return ranges_[group * batch_->token_count() + token];
}

void PageMass::add_layer(int64_t layer, Team& team) {
  const LayerShape& shape = arena_.model()->layers()[static_cast<size_t>(layer)].shape;
  const DecoderSpec& spec = arena_.model()->spec();
  const int64_t sequences = batch_->sequence_count();
  team.for_each(shape.kv_count() * sequences, 1, [&](int64_t item, int64_t) {
    const int64_t kv_head = item / sequences;
    const int64_t sequence = item % sequences;
    const LayerShape::KvHead& head = shape.kv_heads[static_cast<size_t>(kv_head)];
    const int32_t group = arena_.member(layer, head.index).group;
    if (group < 0) return;
    const int64_t token = batch_->sequence_starts[static_cast<size_t>(sequence + 1)] - 1;
    const ReadRange& range = range_of(group, token);
    const int64_t page_tokens = arena_.layout().page_tokens;
    const int64_t pages = (range.end - range.gap + page_tokens - 1) / page_tokens;
    const Scores scores = scratch_of(team.thread());
    for (int64_t page = 0; page < pages; ++page) score_page(layer, kv_head, token, page, scores);
    const int64_t cells = static_cast<int64_t>(batch_->page_tables.size());
    double* mass = mass_.data() + head.index * cells + (group * sequences + sequence) * table_pages_;
    for (int64_t query = 0; query < head.query_count; ++query) {
      const int64_t index = shape.query_heads[static_cast<size_t>(head.first_query + query)];
      if (batch_->is_open(layer * spec.query_heads + index))
        add_head(scores, query, head.query_count, pages, mass);
    }
  });
}

// The kernel's indices count from the page: the page is the whole of a cache of one.
void PageMass::score_page(int64_t layer, int64_t kv_head, int64_t token, int64_t page,
                          const Scores& scores) const {
  const LayerShape& shape = arena_.model()->layers()[static_cast<size_t>(layer)].shape;
  const LayerShape::KvHead& head = shape.kv_heads[static_cast<size_t>(kv_head)];
  const KvArena::Member& member = arena_.member(layer, head.index);
  const ReadRange& range = range_of(member.group, token);
  const int64_t page_tokens = arena_.layout().page_tokens;
  const int64_t entry = page * page_tokens;
  const int64_t first = entry < range.gap_begin ? entry : entry + range.gap;  // index in the text
  const auto in_page = [&](int64_t index) { return std::clamp<int64_t>(index - first, 0, page_tokens); };
  const int64_t end = in_page(range.end);
  const int64_t window_start = in_page(range.window_start);
  AirAttentionArgs args{};
  args.layout = &arena_.layout();
  args.pages = arena_.member_pages(member);
  args.page_stride = arena_.member_page_stride(member);
  args.page_table = range.page_table + page;
  args.ends = &end;
  args.window_starts = &window_start;
  args.sink_tokens = in_page(range.sink_tokens);
  args.prefetch_end = end;
  args.rows = 1;
  workspace_.set_queries(&args);
  args.acc = scores.acc;
  for (int64_t query = 0; query < head.query_count; query += AIR_ATTENTION_MAX_QUERIES) {
    const int64_t first_query = token * shape.query_count() + head.first_query + query;
    args.first_query = &first_query;
    args.heads = static_cast<int32_t>(std::min<int64_t>(head.query_count - query, AIR_ATTENTION_MAX_QUERIES));
    args.running_max = scores.largest + page * head.query_count + query;
    args.running_sum = scores.sums + page * head.query_count + query;
    kernels_.attention(&args);
  }
}

void PageMass::add_head(const Scores& scores, int64_t head, int64_t heads, int64_t pages,
                        double* mass) const {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t page = 0; page < pages; ++page)
    largest = std::max(largest, static_cast<double>(scores.largest[page * heads + head]));
  const auto weight = [&](int64_t page) {
    const double sum = scores.sums[page * heads + head];
    return sum == 0 ? 0.0 : sum * std::exp(scores.largest[page * heads + head] - largest);
  };
  double total = 0;
  for (int64_t page = 0; page < pages; ++page) total += weight(page);
  if (total == 0) return;
  for (int64_t page = 0; page < pages; ++page) mass[page] += weight(page) / total;
}

double PageMass::mass_of(int64_t cell) const {
  const auto cells = static_cast<int64_t>(batch_->page_tables.size());
  double mass = 0;
  for (int64_t head = 0; head < arena_.model()->spec().kv_heads; ++head)
    mass += mass_[static_cast<size_t>(head * cells + cell)];
  return mass;
}

void PageMass::write(float* out, Team& team) const {
  const auto cells = static_cast<int64_t>(batch_->page_tables.size());
  team.for_each(cells / table_pages_, 1, [&](int64_t table, int64_t) {
    const int64_t first = table * table_pages_;
    double total = 0;  // each head that read anything gave 1
    for (int64_t page = 0; page < table_pages_; ++page) total += mass_of(first + page);
    for (int64_t page = 0; page < table_pages_; ++page)
      out[first + page] = total == 0 ? 0.0F : static_cast<float>(mass_of(first + page) / total);
  });
}

void PageMass::write_sums(float* out, Team& team) const {
  team.for_each(static_cast<int64_t>(batch_->page_tables.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t cell = begin; cell < end; ++cell) out[cell] = static_cast<float>(mass_of(cell));
  });
}

}  // namespace air
