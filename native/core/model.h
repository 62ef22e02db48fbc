// Immutable weights of one decoder: packed matrices, float32 vectors, and the embedding table in the file.
#ifndef AIR_CORE_MODEL_H_
#define AIR_CORE_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/include/air_formats.h"
#include "native/core/aligned_buffer.h"
#include "native/core/decoder_spec.h"
#include "native/core/mapped_file.h"
#include "native/core/status.h"
#include "native/core/weights/pack.h"
#include "native/core/weights/tensor.h"

namespace air {

// A tensor's place in one of the files of a TensorDirectory, not yet checked.
struct TensorEntry {
  std::string role;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  int64_t file = 0;
  int64_t offset_bytes = 0;
  int64_t length_bytes = 0;
};

struct TensorDirectory {
  std::vector<std::string> files;
  std::vector<TensorEntry> tensors;
};

// y = W x + bias
struct Linear {
  AirMatrix weight{};
  std::vector<float> bias;  // [weight.rows], or empty
};

struct LayerWeights {
  std::vector<float> attention_norm;     // [embedding_length]
  Linear q;                              // [query_heads * head_dim, embedding_length]
  Linear k, v;                           // [kv_heads * head_dim, embedding_length]
  Linear o;                              // [embedding_length, query_heads * head_dim]
  std::vector<float> feed_forward_norm;  // [embedding_length]
  Linear gate, up;                       // [feed_forward_length, embedding_length]
  Linear down;                           // [embedding_length, feed_forward_length]
};

// What packing did to the tensors of one (file type, class) pair.
struct Conversion {
  TensorType from = TensorType::kF32;
  AirWeightClass to = AIR_WEIGHT_F32;
  int64_t tensors = 0;
  ConversionError error;
};

// Called by the loading thread now and then; false stops the loading with AIR_ERR_CANCELLED. May be empty.
using ProgressCallback = std::function<bool(int64_t done_bytes, int64_t total_bytes)>;

class Model {
 public:
  // Maps the files, checks every tensor against the spec, packs with `threads` threads. Releases the files'
  // resident pages as it goes, so that memory peaks near the packed size.
  static Status load(const TensorDirectory& directory, const DecoderSpec& spec, int threads,
                     const ProgressCallback& progress, std::shared_ptr<const Model>* model);

  const DecoderSpec& spec() const { return spec_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const Linear& output() const { return output_; }
  const std::vector<Conversion>& conversions() const { return conversions_; }
  int64_t weight_bytes() const { return packed_.bytes() + vector_bytes_; }
  int64_t mapped_bytes() const { return embedding_.length_bytes; }

  // out: [embedding_length]. token must be in range.
  void embed(int32_t token, float* out) const noexcept { dequantize_row(embedding_, token, out); }

 private:
  friend class ModelLoader;
  Model() = default;

  DecoderSpec spec_;
  std::vector<MappedFile> files_;
  Tensor embedding_;  // [vocab_size, embedding_length], read in place
  AlignedBuffer packed_;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;  // [embedding_length]
  Linear output_;                   // [vocab_size, embedding_length]
  std::vector<Conversion> conversions_;
  int64_t vector_bytes_ = 0;
};

}  // namespace air

#endif  // AIR_CORE_MODEL_H_
