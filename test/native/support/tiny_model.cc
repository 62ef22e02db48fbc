#include "test/native/support/tiny_model.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "test/native/check.h"
#include "test/native/support/random_tensor.h"

namespace air_test {

namespace {

using air::TensorType;

uint16_t half_bits(double value) {  // normal range only
  int exponent = 0;
  const double mantissa = std::frexp(std::fabs(value), &exponent);
  const auto bits = static_cast<uint16_t>(((exponent + 14) << 10) + static_cast<int>(mantissa * 2048) - 1024);
  return static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
}

// Random bytes whose weights have about the size `scale`, so that activations stay near 1.
OwnedTensor random_weights(TensorType type, int64_t rows, int64_t cols, double scale, std::mt19937& random) {
  OwnedTensor tensor = random_tensor(type, rows, cols, static_cast<uint32_t>(random()));
  const air::TensorTypeInfo& info = air::tensor_type_info(type);
  const int64_t blocks = tensor.view.length_bytes / info.block_bytes;
  std::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
  const bool has_sub_scales = info.block_values == 256;  // six to eight bits, on top of the float16 scale
  const double levels = (type == TensorType::kQ8_0 ? 127 : 8) * (has_sub_scales ? 64 : 1);
  for (int64_t b = 0; b < blocks; ++b) {
    uint8_t* block = tensor.bytes() + b * info.block_bytes;
    if (type == TensorType::kF32) {
      const float value = normal(random);
      std::memcpy(block, &value, sizeof(value));
    } else if (type == TensorType::kF16) {
      const uint16_t value = half_bits(std::fabs(normal(random)) + 1e-3);
      const auto sign = static_cast<uint16_t>((random() & 1) << 15);
      const auto bits = static_cast<uint16_t>(value | sign);
      std::memcpy(block, &bits, sizeof(bits));
    } else {
      for (const int offset : half_offsets(type)) {
        const uint16_t bits = half_bits(2 * scale / levels);
        std::memcpy(block + offset, &bits, sizeof(bits));
      }
    }
  }
  return tensor;
}

class Builder {
 public:
  Builder(const TinyOptions& options, TinyModel* tiny) : options_(options), tiny_(tiny) {
    const std::string pattern = "/tmp/air-tiny-XXXXXX";
    std::vector<char> path(pattern.begin(), pattern.end());
    path.push_back('\0');
    file_ = fdopen(mkstemp(path.data()), "wb");
    tiny_->directory.files = {path.data()};
  }

  void matrix(const std::string& role, int64_t rows, int64_t cols, double gain = 1) {
    add(role,
        random_weights(options_.type, rows, cols, gain / std::sqrt(static_cast<double>(cols)), random_));
  }

  void vector(const std::string& role, int64_t length, float mean, float deviation) {
    OwnedTensor tensor = random_tensor(TensorType::kF32, 1, length, 0);
    std::normal_distribution<float> normal(mean, deviation);
    for (int64_t i = 0; i < length; ++i) {
      const float value = normal(random_);
      std::memcpy(tensor.bytes() + i * 4, &value, sizeof(value));
    }
    tensor.view.shape = {length};
    add(role, tensor);
  }

  void linear(const std::string& role, int64_t rows, int64_t cols, double gain = 1) {
    matrix(role + ".weight", rows, cols, gain);
    if (options_.biases) vector(role + ".bias", rows, 0, 0.3F);
  }

  void finish() { std::fclose(file_); }

 private:
  void add(const std::string& role, const OwnedTensor& tensor) {
    const air::Tensor& view = tensor.view;
    tiny_->directory.tensors.push_back(
        {role, view.type, view.shape, 0, std::ftell(file_), view.length_bytes});
    std::fwrite(tensor.storage.data() + 1, 1, static_cast<size_t>(view.length_bytes), file_);
    std::vector<double>& values = tiny_->weights[role];
    Tensor readable = view;
    readable.data = tensor.storage.data() + 1;
    for (int64_t row = 0; row < view.rows(); ++row) {
      for (int64_t col = 0; col < view.cols(); ++col)
        values.push_back(exact_weight(readable, row, col).value());
    }
  }

  const TinyOptions& options_;
  TinyModel* tiny_;
  std::FILE* file_ = nullptr;
  std::mt19937 random_{7};
};

using Row = std::vector<double>;

Row multiply(const TinyModel& tiny, const std::string& role, const Row& x) {
  const Row& w = tiny.weights.at(role + ".weight");
  const size_t rows = w.size() / x.size();
  Row y(rows, 0.0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < x.size(); ++c) y[r] += w[r * x.size() + c] * x[c];
  }
  const auto bias = tiny.weights.find(role + ".bias");
  if (bias == tiny.weights.end()) return y;
  for (size_t r = 0; r < rows; ++r) y[r] += bias->second[r];
  return y;
}

Row norm(const TinyModel& tiny, const std::string& role, const Row& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  const double inverse = 1 / std::sqrt(sum / static_cast<double>(x.size()) + tiny.spec.norm_epsilon);
  Row y = x;
  for (size_t i = 0; i < y.size(); ++i) y[i] *= inverse * tiny.weights.at(role)[i];
  return y;
}

void rotate(const air::DecoderSpec& spec, double* head, int64_t position) {
  const int64_t pairs = spec.rope_dims / 2;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const double angle =
        static_cast<double>(position) * spec.rope_inverse_frequencies[static_cast<size_t>(pair)];
    const bool interleaved = spec.rope_pairing == AIR_ROPE_INTERLEAVED;
    double& a = head[interleaved ? 2 * pair : pair];
    double& b = head[interleaved ? 2 * pair + 1 : pair + pairs];
    const double cosine = std::cos(angle) * spec.rope_attention_factor;
    const double sine = std::sin(angle) * spec.rope_attention_factor;
    const double rotated = a * cosine - b * sine;
    b = a * sine + b * cosine;
    a = rotated;
  }
}

// Attention of one query head (unrotated, [head_dim]) over the cached keys and values of its KV head. weights: [keys]
// of the softmax, or null.
Row attend(const air::DecoderSpec& spec, const Row& query, int64_t position, const std::vector<Row>& keys,
           const std::vector<Row>& values, const Visibility& visible, double* weights) {
  Row windowed = query;
  Row shifted = query;
  rotate(spec, windowed.data(), position);
  const auto length = static_cast<int64_t>(keys.size());
  const int64_t sinks = visible.sink_tokens;
  const int64_t window_start =
      visible.window_tokens == 0 ? sinks : std::max(sinks, length - visible.window_tokens);
  rotate(spec, shifted.data(), position - (window_start - sinks));
  Row scores;
  std::vector<size_t> read;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const bool is_sink = index < sinks;
    if (!is_sink && index < window_start) continue;
    double score = 0;
    for (size_t d = 0; d < query.size(); ++d) score += (is_sink ? shifted : windowed)[d] * keys[i][d];
    scores.push_back(score / std::sqrt(static_cast<double>(spec.head_dim)));
    read.push_back(i);
  }
  Row out(query.size(), 0.0);
  double total = 0;
  for (size_t i = 0; i < read.size(); ++i) total += std::exp(scores[i]);
  for (size_t i = 0; i < read.size(); ++i) {
    if (weights != nullptr) weights[read[i]] = std::exp(scores[i]) / total;
    for (size_t d = 0; d < out.size(); ++d) out[d] += std::exp(scores[i]) / total * values[read[i]][d];
  }
  return out;
}

// sums: [layers, row], grown as layers are met.
void add_squares(const Row& row, int64_t layer, std::vector<double>* sums) {
  const size_t first = static_cast<size_t>(layer) * row.size();
  if (sums->size() < first + row.size()) sums->resize(first + row.size(), 0.0);
  for (size_t i = 0; i < row.size(); ++i) (*sums)[first + i] += row[i] * row[i];
}

Row slice(const Row& row, int64_t index, int64_t width) {
  return {row.begin() + index * width, row.begin() + (index + 1) * width};
}

}  // namespace

TinyModel make_tiny_model(const TinyOptions& options) {
  TinyModel tiny;
  air::DecoderSpec& spec = tiny.spec;
  spec.layers = options.layers;
  spec.embedding_length = options.embedding_length;
  spec.query_heads = options.query_heads;
  spec.kv_heads = options.kv_heads;
  spec.head_dim = options.head_dim;
  spec.feed_forward_length = options.feed_forward_length;
  spec.vocab_size = options.vocab_size;
  spec.norm_epsilon = 1e-5F;
  spec.rope_pairing = options.pairing;
  spec.rope_dims = options.rope_dims;
  spec.rope_attention_factor = options.rope_attention_factor;
  spec.tied_output = options.tied_output;
  for (int64_t pair = 0; pair < options.rope_dims / 2; ++pair) {
    spec.rope_inverse_frequencies.push_back(
        std::pow(100.0, -2.0 * static_cast<double>(pair) / static_cast<double>(options.rope_dims)));
  }
  Builder builder(options, &tiny);
  const int64_t width = options.embedding_length;
  builder.matrix("token_embedding.weight", options.vocab_size, width, std::sqrt(static_cast<double>(width)));
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const std::string role = "layers." + std::to_string(layer) + ".";
    builder.vector(role + "attention_norm.weight", width, 1, 0.2F);
    builder.linear(role + "attention.q", options.query_heads * options.head_dim, width, 1.5);
    builder.linear(role + "attention.k", options.kv_heads * options.head_dim, width, 1.5);
    builder.linear(role + "attention.v", options.kv_heads * options.head_dim, width);
    builder.linear(role + "attention.o", width, options.query_heads * options.head_dim);
    builder.vector(role + "feed_forward_norm.weight", width, 1, 0.2F);
    builder.linear(role + "feed_forward.gate", options.feed_forward_length, width);
    builder.linear(role + "feed_forward.up", options.feed_forward_length, width);
    builder.linear(role + "feed_forward.down", width, options.feed_forward_length);
  }
  builder.vector("output_norm.weight", width, 1, 0.2F);
  if (!options.tied_output) builder.matrix("output.weight", options.vocab_size, width);
  builder.finish();
  air::LoadOptions load;
  load.threads = 2;
  load.layout = options.layout;
  const air::Status status = air::Model::load(tiny.directory, spec, load, &tiny.model);
  CHECK_MSG(status.ok(), "tiny model: " + status.message());
  if (!options.keeps_file) unlink(tiny.directory.files[0].c_str());
  return tiny;
}

std::vector<double> naive_logits(const TinyModel& tiny, const std::vector<int32_t>& tokens,
                                 const HeadRules& rules, int64_t rules_from, NaiveActivity* activity) {
  const air::DecoderSpec& spec = tiny.spec;
  const int64_t group = spec.query_heads / spec.kv_heads;
  std::vector<std::vector<Row>> keys(static_cast<size_t>(spec.layers * spec.kv_heads));
  std::vector<std::vector<Row>> values(keys.size());
  std::vector<double> logits;
  if (activity != nullptr) {
    activity->last_attention.assign(static_cast<size_t>(spec.layers * spec.query_heads) * tokens.size(), 0.0);
  }
  for (size_t position = 0; position < tokens.size(); ++position) {
    const auto at = static_cast<int64_t>(position);
    const bool ruled = at >= rules_from;
    Row x = slice(tiny.weights.at("token_embedding.weight"), tokens[position], spec.embedding_length);
    for (int64_t layer = 0; layer < spec.layers; ++layer) {
      const std::string role = "layers." + std::to_string(layer) + ".";
      const Row normed = norm(tiny, role + "attention_norm.weight", x);
      const Row q = multiply(tiny, role + "attention.q", normed);
      const Row k = multiply(tiny, role + "attention.k", normed);
      const Row v = multiply(tiny, role + "attention.v", normed);
      Row attended;
      for (int64_t kv_head = 0; kv_head < spec.kv_heads; ++kv_head) {
        const auto cell = static_cast<size_t>(layer * spec.kv_heads + kv_head);
        Row key = slice(k, kv_head, spec.head_dim);
        rotate(spec, key.data(), at);
        keys[cell].push_back(key);
        values[cell].push_back(slice(v, kv_head, spec.head_dim));
        const Visibility visible = ruled && !rules.kv_heads.empty() ? rules.kv_heads[cell] : Visibility{};
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          const bool dropped = !rules.kv_dropped.empty() && rules.kv_dropped[cell];
          const bool masked = ruled && !rules.query_masked.empty() &&
                              rules.query_masked[static_cast<size_t>(layer * spec.query_heads + head)];
          double* weights = activity == nullptr || position + 1 != tokens.size()
                                ? nullptr
                                : activity->last_attention.data() +
                                      static_cast<size_t>(layer * spec.query_heads + head) * tokens.size();
          const Row out = dropped || masked ? Row(static_cast<size_t>(spec.head_dim), 0.0)
                                            : attend(spec, slice(q, head, spec.head_dim), at, keys[cell],
                                                     values[cell], visible, weights);
          attended.insert(attended.end(), out.begin(), out.end());
        }
      }
      if (activity != nullptr) add_squares(attended, layer, &activity->attended_squares);
      const Row projected = multiply(tiny, role + "attention.o", attended);
      for (size_t i = 0; i < x.size(); ++i) x[i] += projected[i];
      const Row normed_again = norm(tiny, role + "feed_forward_norm.weight", x);
      Row hidden = multiply(tiny, role + "feed_forward.gate", normed_again);
      const Row up = multiply(tiny, role + "feed_forward.up", normed_again);
      for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = hidden[i] / (1 + std::exp(-hidden[i])) * up[i];
      if (activity != nullptr) add_squares(hidden, layer, &activity->hidden_squares);
      const Row contracted = multiply(tiny, role + "feed_forward.down", hidden);
      for (size_t i = 0; i < x.size(); ++i) x[i] += contracted[i];
    }
    const Row last = norm(tiny, "output_norm.weight", x);
    if (activity != nullptr) activity->states.insert(activity->states.end(), last.begin(), last.end());
    const Row row = multiply(tiny, spec.tied_output ? "token_embedding" : "output", last);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

}  // namespace air_test
