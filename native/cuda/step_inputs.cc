#include "native/cuda/step_inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace air::cuda {

namespace {

class StepFiller {
 public:
  StepFiller(const StepPlan& plan, const StepSource& source, const KvArena& arena, uint8_t* block)
      : plan_(plan),
        batch_(source.batch),
        ranges_(source.ranges),
        table_offset_(source.table_offset),
        arena_(arena),
        spec_(arena.model()->spec()),
        block_(block),
        stride_(plan.kind.tokens) {}

  void fill(const std::vector<int32_t>& feed_sources) {
    const StepLayout& layout = plan_.layout;
    auto* counts = at<int32_t>(layout.counts);
    counts[StepLayout::kTokens] = static_cast<int32_t>(batch_.token_count());
    counts[StepLayout::kRows] = static_cast<int32_t>(batch_.row_count());
    std::copy(batch_.tokens.begin(), batch_.tokens.end(), at<int32_t>(layout.tokens));
    std::copy(feed_sources.begin(), feed_sources.end(), at<int32_t>(layout.feed_sources));
    std::iota(at<int32_t>(layout.identity), at<int32_t>(layout.identity) + stride_, 0);
    std::copy(batch_.logit_rows.begin(), batch_.logit_rows.end(), at<int32_t>(layout.logit_rows));
    fill_cache_ranges();
    fill_tiles();
    fill_gates();
    fill_angles();
  }

 private:
  template <typename T>
  T* at(int64_t offset) const {
    return reinterpret_cast<T*>(block_ + offset);
  }

  void fill_cache_ranges() const {
    const int64_t tokens = batch_.token_count();
    for (int64_t group = 0; group < arena_.group_count(); ++group) {
      std::copy_n(batch_.slots.begin() + group * tokens, tokens,
                  at<int32_t>(plan_.layout.slots) + group * stride_);
      auto* out = at<CacheRange>(plan_.layout.ranges) + group * stride_;
      for (int64_t token = 0; token < tokens; ++token) {
        const ReadRange& range = ranges_[static_cast<size_t>(group * tokens + token)];
        out[token] = {static_cast<int32_t>(table_offset_ + (range.page_table - batch_.page_tables.data())),
                      range.sink_tokens,
                      range.window_start,
                      range.end,
                      range.gap_begin,
                      range.gap,
                      range.sink_shift,
                      0};
      }
    }
  }

  void fill_tiles() const {
    std::vector<int32_t> sequence_of_token(static_cast<size_t>(batch_.token_count()));
    for (int64_t s = 0; s < batch_.sequence_count(); ++s) {
      for (int32_t t = batch_.sequence_starts[static_cast<size_t>(s)];
           t < batch_.sequence_starts[static_cast<size_t>(s + 1)]; ++t)
        sequence_of_token[static_cast<size_t>(t)] = static_cast<int32_t>(s);
    }
    std::vector<int32_t> sequence_of_row;
    for (const int32_t token : batch_.logit_rows)
      sequence_of_row.push_back(sequence_of_token[static_cast<size_t>(token)]);
    for (size_t set = 0; set < plan_.tile_sets.size(); ++set) {
      const StepPlan::TileSet& tiles = plan_.tile_sets[set];
      const std::vector<int32_t>& rows = tiles.is_logit_rows ? sequence_of_row : sequence_of_token;
      auto* out = at<AttentionTile>(plan_.layout.tiles) + static_cast<int64_t>(set) * stride_;
      at<int32_t>(plan_.layout.counts)[StepLayout::kTiles + static_cast<int>(set)] =
          make_attention_tiles(rows.data(), static_cast<int32_t>(rows.size()), tiles.tile_rows, out);
    }
  }

  void fill_gates() const {
    if (batch_.query_gates.empty()) return;
    uint8_t* gates = block_ + plan_.layout.gates;
    for (int64_t layer = 0; layer < spec_.layers; ++layer) {
      const auto& heads = arena_.model()->layers()[static_cast<size_t>(layer)].shape.query_heads;
      for (size_t i = 0; i < heads.size(); ++i)
        gates[layer * spec_.query_heads + static_cast<int64_t>(i)] =
            batch_.is_open(layer * spec_.query_heads + heads[i]) ? 1 : 0;
    }
  }

  // Angles are computed in float64: at position 1e6 a float32 angle would be off by 0.03 radians.
  void fill_angles() const {
    const int64_t tokens = batch_.token_count();
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t position = batch_.positions[static_cast<size_t>(token)];
      write_angles(0, token, position);
      for (int64_t group = 0; group < arena_.group_count(); ++group) {
        const ReadRange& range = ranges_[static_cast<size_t>(group * tokens + token)];
        if (range.sink_tokens > 0) write_angles(1 + group, token, position - range.sink_shift);
      }
    }
  }

  void write_angles(int64_t table, int64_t token, int64_t position) const {
    const int64_t pairs = spec_.rope_dims / 2;
    const int64_t first = (table * stride_ + token) * pairs;
    float* cosines = at<float>(plan_.layout.cosines) + first;
    float* sines = at<float>(plan_.layout.sines) + first;
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const double angle =
          static_cast<double>(position) * spec_.rope_inverse_frequencies[static_cast<size_t>(pair)];
      cosines[pair] = static_cast<float>(std::cos(angle) * spec_.rope_attention_factor);
      sines[pair] = static_cast<float>(std::sin(angle) * spec_.rope_attention_factor);
    }
  }

  const StepPlan& plan_;
  const Batch& batch_;
  const std::vector<ReadRange>& ranges_;
  const int64_t table_offset_;
  const KvArena& arena_;
  const DecoderSpec& spec_;
  uint8_t* const block_;
  const int64_t stride_;
};

}  // namespace

void fill_step(const StepPlan& plan, const StepSource& source, const KvArena& arena, uint8_t* block) {
  StepFiller(plan, source, arena, block).fill(source.feed_sources);
}

}  // namespace air::cuda
