#include "native/core/batch.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace air {

namespace {

constexpr int64_t kMaxIndex = std::numeric_limits<int32_t>::max();

std::string text(int64_t value) { return std::to_string(value); }

Status shape_error(const char* name, const std::string& expected, int64_t received) {
  return {StatusCode::kShape, "expected " + expected + " for " + name + " but received " + text(received)};
}

Status range_error(const std::string& what, const std::string& expected, int64_t received) {
  return {StatusCode::kPageRange,
          "expected " + expected + " for " + what + " but received " + text(received)};
}

// "name[i]"
std::string element(const char* name, int64_t index) { return std::string(name) + "[" + text(index) + "]"; }

class BatchChecker {
 public:
  BatchChecker(const Batch& batch, const KvArena& arena)
      : batch_(batch), arena_(arena), tokens_(batch.token_count()), groups_(arena.group_count()) {}

  Status check(int64_t max_tokens, int64_t max_sequences, std::vector<ReadRange>* ranges) {
    AIR_RETURN_IF_ERROR(check_tokens(max_tokens));
    AIR_RETURN_IF_ERROR(check_sequence_starts(max_sequences));
    AIR_RETURN_IF_ERROR(check_lengths());
    AIR_RETURN_IF_ERROR(check_logit_rows());
    ranges->assign(static_cast<size_t>(groups_ * tokens_), ReadRange{});
    for (int64_t group = 0; group < groups_; ++group) {
      for (int64_t sequence = 0; sequence < sequences_; ++sequence) {
        AIR_RETURN_IF_ERROR(check_sequence(group, sequence, ranges->data() + group * tokens_));
      }
    }
    return {};
  }

 private:
  Status check_tokens(int64_t max_tokens) {
    if (tokens_ < 1 || tokens_ > max_tokens) {
      return shape_error("tokens", "1 to maxTokens (" + text(max_tokens) + ") entries", tokens_);
    }
    if (static_cast<int64_t>(batch_.positions.size()) != tokens_) {
      return shape_error("positions", text(tokens_) + " entries, as many as tokens,",
                         static_cast<int64_t>(batch_.positions.size()));
    }
    const int64_t vocab_size = arena_.model()->spec().vocab_size;
    for (int64_t i = 0; i < tokens_; ++i) {
      const int32_t token = batch_.tokens[static_cast<size_t>(i)];
      if (token < 0 || token >= vocab_size) {
        return {StatusCode::kArgument, "expected a token id below " + text(vocab_size) + " for " +
                                           element("tokens", i) + " but received " + text(token)};
      }
      const int32_t position = batch_.positions[static_cast<size_t>(i)];
      if (position < 0) {
        return {StatusCode::kArgument,
                "expected 0 or more for " + element("positions", i) + " but received " + text(position)};
      }
    }
    return {};
  }

  Status check_sequence_starts(int64_t max_sequences) {
    sequences_ = batch_.sequence_count();
    if (sequences_ < 1 || sequences_ > max_sequences) {
      return shape_error("sequenceStarts", "2 to maxSequences + 1 (" + text(max_sequences + 1) + ") entries",
                         sequences_ + 1);
    }
    const auto& starts = batch_.sequence_starts;
    if (starts.front() != 0) return range_error("sequenceStarts[0]", "0", starts.front());
    if (starts.back() != tokens_) {
      return range_error(element("sequenceStarts", sequences_),
                         "the number of tokens (" + text(tokens_) + ")", starts.back());
    }
    for (int64_t s = 0; s < sequences_; ++s) {
      if (starts[static_cast<size_t>(s + 1)] <= starts[static_cast<size_t>(s)]) {
        return range_error(element("sequenceStarts", s + 1),
                           "more than the entry before (each sequence has a token)",
                           starts[static_cast<size_t>(s + 1)]);
      }
    }
    return {};
  }

  Status check_lengths() {
    const int64_t per_sequence = groups_ * sequences_;
    const auto size_of = [](const auto& vector) { return static_cast<int64_t>(vector.size()); };
    if (size_of(batch_.slots) != groups_ * tokens_) {
      return shape_error("slots", "headGroups * tokens = " + text(groups_ * tokens_) + " entries",
                         size_of(batch_.slots));
    }
    if (size_of(batch_.context_lengths) != per_sequence) {
      return shape_error("contextLengths", "headGroups * sequences = " + text(per_sequence) + " entries",
                         size_of(batch_.context_lengths));
    }
    if (batch_.page_tables.empty() || size_of(batch_.page_tables) % per_sequence != 0) {
      return shape_error("pageTables",
                         "a multiple of headGroups * sequences = " + text(per_sequence) + " entries",
                         size_of(batch_.page_tables));
    }
    max_pages_ = size_of(batch_.page_tables) / per_sequence;
    const struct {
      const char* name;
      int64_t size;
    } optional[] = {{"sinkTokens", size_of(batch_.sink_tokens)},
                    {"windowTokens", size_of(batch_.window_tokens)},
                    {"evictedTokens", size_of(batch_.evicted_tokens)}};
    for (const auto& field : optional) {
      if (field.size != 0 && field.size != per_sequence) {
        return shape_error(field.name, "headGroups * sequences = " + text(per_sequence) + " entries or none",
                           field.size);
      }
    }
    const DecoderSpec& spec = arena_.model()->spec();
    const int64_t gates = spec.layers * spec.query_heads;
    if (!batch_.query_gates.empty() && size_of(batch_.query_gates) != gates) {
      return shape_error("queryGates", "layers * queryHeads = " + text(gates) + " entries or none",
                         size_of(batch_.query_gates));
    }
    return {};
  }

  Status check_logit_rows() {
    int64_t previous = -1;
    for (int64_t i = 0; i < batch_.row_count(); ++i) {
      const int32_t row = batch_.logit_rows[static_cast<size_t>(i)];
      if (row <= previous || row >= tokens_) {
        return range_error(element("logitRows", i),
                           "an ascending index below the number of tokens (" + text(tokens_) + ")", row);
      }
      previous = row;
    }
    return {};
  }

  // ranges: [tokens] of the group
  Status check_sequence(int64_t group, int64_t sequence, ReadRange* ranges) {
    const int64_t at = group * sequences_ + sequence;
    const int64_t page_tokens = arena_.layout().page_tokens;
    const int64_t page_count = arena_.groups()[static_cast<size_t>(group)].page_count;
    const int32_t context = batch_.context_lengths[static_cast<size_t>(at)];
    if (context < 0 || context > max_pages_ * page_tokens) {
      return range_error(element("contextLengths", at),
                         "0 to " + text(max_pages_ * page_tokens) + " (maxPages * pageTokens)", context);
    }
    const int32_t* table = batch_.page_tables.data() + at * max_pages_;
    for (int64_t i = 0; i < (context + page_tokens - 1) / page_tokens; ++i) {
      if (table[i] < 1 || table[i] >= page_count) {
        return range_error(element("pageTables", at * max_pages_ + i),
                           "a page from 1 to " + text(page_count - 1), table[i]);
      }
    }
    ReadRange range;
    range.page_table = table;
    range.sink_tokens = optional_value(batch_.sink_tokens, at);
    if (range.sink_tokens < 0 || range.sink_tokens > context) {
      return range_error(element("sinkTokens", at), "0 to the context length (" + text(context) + ")",
                         range.sink_tokens);
    }
    for (const auto& [name, values] : {std::pair("windowTokens", &batch_.window_tokens),
                                       std::pair("evictedTokens", &batch_.evicted_tokens)}) {
      const int32_t value = optional_value(*values, at);
      if (value < 0) return range_error(element(name, at), "0 or more", value);
    }
    range.gap = optional_value(batch_.evicted_tokens, at);
    if (range.gap % page_tokens != 0 || range.gap > kMaxIndex - context) {
      return range_error(element("evictedTokens", at),
                         "a multiple of pageTokens (" + text(page_tokens) + ") below 2^31 - contextLength",
                         range.gap);
    }
    const int64_t sink_pages = (range.sink_tokens + page_tokens - 1) / page_tokens;
    range.gap_begin = static_cast<int32_t>(sink_pages * page_tokens);
    return check_slots(group, sequence, range, ranges);
  }

  static int32_t optional_value(const std::vector<int32_t>& values, int64_t index) {
    return values.empty() ? 0 : values[static_cast<size_t>(index)];
  }

  // What a token reads whose own entry is the last of `entries` cached ones, and where that puts the sinks.
  Status place_window(int64_t cell, int64_t token, int64_t entries, ReadRange* range) const {
    const int64_t window = optional_value(batch_.window_tokens, cell);
    const int64_t sinks = range->sink_tokens;
    if (range->gap > 0 && entries <= range->gap_begin) {
      return range_error(element("contextLengths", cell),
                         "more than the pages of the sinks (" + text(range->gap_begin) +
                             " entries) for every token once tokens were evicted",
                         entries);
    }
    const int64_t end = entries + range->gap;
    int64_t window_start = sinks;
    if (range->gap > 0) window_start = range->gap_begin + range->gap;
    if (window > 0) window_start = std::max(window_start, end - window);
    const int64_t position = batch_.positions[static_cast<size_t>(token)];
    if (window_start - sinks > position) {
      return range_error(element("evictedTokens", cell),
                         "no more entries between sinks and window than the position " + text(position),
                         window_start - sinks);
    }
    range->end = static_cast<int32_t>(end);
    range->window_start = static_cast<int32_t>(window_start);
    range->sink_shift = static_cast<int32_t>(window_start - sinks);
    return {};
  }

  // From the last token back: each written token is the newest entry of what the tokens from it on read.
  Status check_slots(int64_t group, int64_t sequence, ReadRange range, ReadRange* ranges) {
    const int64_t page_tokens = arena_.layout().page_tokens;
    const int64_t page_count = arena_.groups()[static_cast<size_t>(group)].page_count;
    const int64_t first = batch_.sequence_starts[static_cast<size_t>(sequence)];
    int32_t end = batch_.context_lengths[static_cast<size_t>(group * sequences_ + sequence)];
    for (int64_t token = batch_.sequence_starts[static_cast<size_t>(sequence + 1)] - 1; token >= first;
         --token) {
      AIR_RETURN_IF_ERROR(place_window(group * sequences_ + sequence, token, end, &range));
      ranges[token] = range;
      const int64_t index = group * tokens_ + token;
      const int32_t slot = batch_.slots[static_cast<size_t>(index)];
      if (slot == -1) continue;
      if (slot < page_tokens || slot >= page_count * page_tokens) {
        return range_error(
            element("slots", index),
            "-1 or a slot from " + text(page_tokens) + " to " + text(page_count * page_tokens - 1), slot);
      }
      if (end == 0) {
        return range_error(element("contextLengths", group * sequences_ + sequence),
                           "at least the tokens written in this step",
                           batch_.context_lengths[static_cast<size_t>(group * sequences_ + sequence)]);
      }
      const int32_t expected = static_cast<int32_t>(range.page_table[(end - 1) / page_tokens] * page_tokens +
                                                    (end - 1) % page_tokens);
      if (slot != expected) {
        return range_error(
            element("slots", index),
            "slot " + text(expected) + ", cache index " + text(end - 1) + " of its page table,", slot);
      }
      --end;
    }
    return {};
  }

  const Batch& batch_;
  const KvArena& arena_;
  const int64_t tokens_;
  const int64_t groups_;
  int64_t sequences_ = 0;
  int64_t max_pages_ = 0;
};

}  // namespace

Status check_batch(const Batch& batch, const KvArena& arena, int64_t max_tokens, int64_t max_sequences,
                   std::vector<ReadRange>* ranges) {
  return BatchChecker(batch, arena).check(max_tokens, max_sequences, ranges);
}

}  // namespace air
