// A random decoder of a few thousand weights, written to a temporary file as raw tensors and loaded from it,
// together with its weights in double precision for an independent computation.
#ifndef AIR_TEST_NATIVE_SUPPORT_TINY_MODEL_H_
#define AIR_TEST_NATIVE_SUPPORT_TINY_MODEL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "native/core/isa.h"
#include "native/core/model.h"

namespace air_test {

struct TinyOptions {
  int64_t layers = 2;
  int64_t embedding_length = 64;
  int64_t query_heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 32;
  int64_t rope_dims = 32;
  int64_t feed_forward_length = 96;
  int64_t vocab_size = 50;
  air::TensorType type = air::TensorType::kF32;  // of the matrices; vectors are F32
  AirRopePairing pairing = AIR_ROPE_INTERLEAVED;
  bool tied_output = false;
  bool biases = false;
  double rope_attention_factor = 1;
  AirLayout layout = air::usable_kernels().front()->layout;  // of the packed weights
  bool keeps_file = false;                                   // else it is removed once the model is loaded
};

struct TinyModel {
  air::DecoderSpec spec;
  air::TensorDirectory directory;
  std::map<std::string, std::vector<double>> weights;  // by role, row-major, as the file's bytes say
  std::shared_ptr<const air::Model> model;
};

// Fails the running test when the model does not load.
TinyModel make_tiny_model(const TinyOptions& options);

// Which cache entries a head sees, as a batch's fields of these names say.
struct Visibility {
  int64_t sink_tokens = 0;
  int64_t window_tokens = 0;
};

// How the independent computation treats each KV head and query head. Empty vectors: plain full attention.
struct HeadRules {
  std::vector<Visibility> kv_heads;  // [layers, kv_heads]
  std::vector<bool> kv_dropped;      // [layers, kv_heads]
  std::vector<bool> query_masked;    // [layers, query_heads]
};

// Squares of what the output and down matrices read, summed over the tokens; what the last token attends to; what
// the output matrix is given.
struct NaiveActivity {
  std::vector<double> attended_squares;  // [layers, query_heads * head_dim]
  std::vector<double> hidden_squares;    // [layers, feed_forward_length]
  std::vector<double> states;            // [tokens, embedding_length]
  std::vector<double>
      last_attention;  // [layers, query_heads, tokens] softmax; 0 of heads that are not computed
};

// Logits of every position, [tokens, vocab_size], in double precision with exact keys and values. Rules apply
// to the tokens from `rules_from` on; earlier ones see everything before them.
std::vector<double> naive_logits(const TinyModel& tiny, const std::vector<int32_t>& tokens,
                                 const HeadRules& rules = {}, int64_t rules_from = 0,
                                 NaiveActivity* activity = nullptr);

}  // namespace air_test

#endif  // AIR_TEST_NATIVE_SUPPORT_TINY_MODEL_H_
