// The numbers that describe a decoder; lib/model/architecture.ts maps model families to them.
#ifndef AIR_CORE_DECODER_SPEC_H_
#define AIR_CORE_DECODER_SPEC_H_

#include <cstdint>
#include <vector>

#include "kernels/include/air_kernels.h"
#include "native/core/status.h"

namespace air {

struct DecoderSpec {
  int64_t layers = 0;
  int64_t embedding_length = 0;
  int64_t query_heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t feed_forward_length = 0;
  int64_t vocab_size = 0;
  float norm_epsilon = 0;
  AirRopePairing rope_pairing = AIR_ROPE_INTERLEAVED;
  int64_t rope_dims = 0;
  std::vector<double> rope_inverse_frequencies;  // [rope_dims / 2] radians per position
  double rope_attention_factor = 1;              // multiplies cosines and sines
  bool tied_output = false;

  int64_t heads_per_group() const { return query_heads / kv_heads; }
  // Head dimension as stored in KV pages: a multiple of 32, the padding zero.
  int64_t padded_head_dim() const { return (head_dim + AIR_GROUP - 1) / AIR_GROUP * AIR_GROUP; }
};

// Ranges and divisibility; AIR_ERR_MODEL_FORMAT or AIR_ERR_UNSUPPORTED otherwise.
Status check_spec(const DecoderSpec& spec);

}  // namespace air

#endif  // AIR_CORE_DECODER_SPEC_H_
