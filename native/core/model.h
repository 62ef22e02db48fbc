// Immutable weights of one decoder: packed matrices, float32 vectors, and the embedding table in the file.
#ifndef AIR_CORE_MODEL_H_
#define AIR_CORE_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/include/air_formats.h"
#include "native/core/aligned_buffer.h"
#include "native/core/decoder_spec.h"
#include "native/core/mapped_file.h"
#include "native/core/progress.h"
#include "native/core/pruning.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/core/weights/packer.h"
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

// Heads and channels are the kept ones of `shape`. A layer without heads has no matrices for them, but o's bias.
struct LayerWeights {
  LayerShape shape;
  std::vector<float> attention_norm;     // [embedding_length]
  Linear q;                              // [query_heads * head_dim, embedding_length]
  Linear k, v;                           // [kv_heads * head_dim, embedding_length]
  Linear o;                              // [embedding_length, query_heads * head_dim]
  std::vector<float> feed_forward_norm;  // [embedding_length]
  Linear gate, up;                       // [feed_forward_length, embedding_length]
  Linear down;                           // [embedding_length, feed_forward_length]
};

// Packed matrices of a model that is being loaded, a few at a time.
class MatrixSource {
 public:
  virtual ~MatrixSource() = default;
  // The data of these matrices of the model is there until the next call.
  virtual Status provide(const AirMatrix* const* matrices, int count) = 0;
};

class Model;

struct LoadOptions {
  int threads = 1;
  std::string pack_cache;  // directory of pack files (native/core/weights/pack_file.h), or empty
  ProgressCallback progress;
  AirLayout layout = AIR_LAYOUT_QUADS;  // which the kernels that are to run the model read
  Pruning pruning{};
  // Takes the packed matrices to a device, by MatrixSource; the model keeps none of them but those of host_layers. Empty:
  // they stay.
  std::function<Status(const Model& model, ThreadPool& pool, MatrixSource& matrices)> upload{};
  int64_t host_layers = 0;  // so many of the first layers stay, and upload() takes none of theirs
};

// What came of LoadOptions::pack_cache.
enum class PackCacheOutcome {
  kOff,
  kHit,        // mapped from the file
  kWritten,    // packed, and written for the next load
  kUnwritten,  // packed, but the file could not be written
};
struct PackCacheReport {
  PackCacheOutcome outcome = PackCacheOutcome::kOff;
  std::string file;
  std::string reason;  // why a file that was there was not used, or why none could be written; or empty
};

class Model {
 public:
  // Maps the files, checks every tensor against the spec, packs or maps what was packed before. Releases the
  // files' resident pages as it goes, so that memory peaks near the packed size.
  static Status load(const TensorDirectory& directory, const DecoderSpec& spec, const LoadOptions& options,
                     std::shared_ptr<const Model>* model);

  // Of the whole model, nothing left out.
  const DecoderSpec& spec() const { return spec_; }
  bool is_pruned() const { return is_pruned_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<float>& output_norm() const { return output_norm_; }
  const Linear& output() const { return output_; }
  const std::vector<Conversion>& conversions() const { return conversions_; }
  // [vocab_size, embedding_length], in the mapped file.
  const Tensor& embedding() const { return embedding_; }
  const PackCacheReport& pack_cache() const { return pack_cache_; }
  AirLayout layout() const { return layout_; }
  int64_t weight_bytes() const { return packed_bytes_ + vector_bytes_; }
  int64_t mapped_bytes() const { return embedding_.length_bytes; }

  // Sum of squares of each column of a matrix of the files, [cols]. Reads the whole tensor. AIR_ERR_ARGUMENT for a
  // role that no matrix has.
  Status column_squares(const std::string& role, std::vector<float>* out) const;

  // AIR_ERR_IO when a file that is read in place was written to, or cut, since it was mapped.
  Status check_files() const;

  // out: [embedding_length]. token must be in range.
  void embed(int32_t token, float* out) const noexcept { dequantize_row(embedding_, token, out); }

 private:
  friend class ModelLoader;
  Model() = default;

  DecoderSpec spec_;
  std::vector<MappedFile> files_;                    // of the model, and its pack file if that is mapped
  std::unordered_map<std::string, Tensor> tensors_;  // of the files, by role
  Tensor embedding_;                                 // [vocab_size, embedding_length], read in place
  AlignedBuffer packed_;                             // empty when a pack file is mapped
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;  // [embedding_length]
  Linear output_;                   // [vocab_size, embedding_length]
  std::vector<Conversion> conversions_;
  PackCacheReport pack_cache_;
  AirLayout layout_ = AIR_LAYOUT_QUADS;
  bool is_pruned_ = false;
  int64_t packed_bytes_ = 0;
  int64_t vector_bytes_ = 0;
};

}  // namespace air

#endif  // AIR_CORE_MODEL_H_
