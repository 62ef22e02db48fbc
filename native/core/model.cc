#include "native/core/model.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "native/core/hash.h"
#include "native/core/thread_pool.h"
#include "native/core/weights/column_squares.h"
#include "native/core/weights/pack_file.h"

namespace air {

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

}  // namespace

class ModelLoader {
 public:
  ModelLoader(const TensorDirectory& directory, const LoadOptions& options)
      : directory_(directory),
        options_(options),
        progress_(options.progress),
        model_(new Model()),
        packer_(options.layout) {
    model_->layout_ = options.layout;
  }

  Status load(const DecoderSpec& spec, std::shared_ptr<const Model>* out) {
    AIR_RETURN_IF_ERROR(check_spec(spec));
    AIR_RETURN_IF_ERROR(check_pruning(options_.pruning, spec));
    model_->spec_ = spec;
    AIR_RETURN_IF_ERROR(map_tensors());
    AIR_RETURN_IF_ERROR(take_layers());
    AIR_RETURN_IF_ERROR(
        take_vector("output_norm.weight", spec.embedding_length, true, &model_->output_norm_));
    const std::vector<int64_t> vocabulary{spec.vocab_size, spec.embedding_length};
    AIR_RETURN_IF_ERROR(find("token_embedding.weight", vocabulary, &model_->embedding_));
    const char* output_role = spec.tied_output ? "token_embedding.weight" : "output.weight";
    AIR_RETURN_IF_ERROR(take_matrix(output_role, vocabulary, {}, &model_->output_.weight));
    AIR_RETURN_IF_ERROR(take_vector("output.bias", spec.vocab_size, false, &model_->output_.bias));
    // A tied embedding is checked while it is packed as the output matrix.
    if (!spec.tied_output) packer_.add_in_place(model_->embedding_);
    AIR_RETURN_IF_ERROR(obtain_weights());
    *out = std::shared_ptr<const Model>(model_.release());
    return {};
  }

 private:
  Status map_tensors() {
    for (const auto& path : directory_.files) {
      MappedFile file;
      AIR_RETURN_IF_ERROR(file.open(path));
      model_->files_.push_back(std::move(file));
    }
    for (const auto& entry : directory_.tensors) {
      if (entry.file < 0 || entry.file >= static_cast<int64_t>(model_->files_.size())) {
        return {StatusCode::kArgument, "expected an index into files for the file of " + entry.role +
                                           " but received " + std::to_string(entry.file)};
      }
      const MappedFile& file = model_->files_[static_cast<size_t>(entry.file)];
      if (entry.offset_bytes < 0 || entry.length_bytes < 0 || entry.offset_bytes > file.bytes() ||
          entry.length_bytes > file.bytes() - entry.offset_bytes) {
        return {StatusCode::kModelFormat, "expected a byte range within the file's " +
                                              std::to_string(file.bytes()) + " bytes for " + entry.role +
                                              " but received " + std::to_string(entry.length_bytes) +
                                              " bytes at " + std::to_string(entry.offset_bytes)};
      }
      Tensor tensor{entry.role, entry.type, entry.shape, file.data() + entry.offset_bytes,
                    entry.length_bytes};
      AIR_RETURN_IF_ERROR(check_tensor(tensor));
      if (!model_->tensors_.emplace(entry.role, std::move(tensor)).second) {
        return {StatusCode::kModelFormat, "expected one tensor for " + entry.role + " but received two"};
      }
    }
    return {};
  }

  Status find(const std::string& role, const std::vector<int64_t>& shape, Tensor* tensor) {
    const auto found = model_->tensors_.find(role);
    if (found == model_->tensors_.end()) {
      return {StatusCode::kModelFormat, "expected a tensor for " + role + " but received none"};
    }
    if (found->second.shape != shape) {
      return {StatusCode::kModelFormat, "expected shape " + shape_text(shape) + " for " + role +
                                            " but received " + shape_text(found->second.shape)};
    }
    *tensor = found->second;
    return {};
  }

  Status take_vector(const std::string& role, int64_t length, bool required, std::vector<float>* out) {
    if (!required && model_->tensors_.count(role) == 0) return {};
    Tensor tensor;
    AIR_RETURN_IF_ERROR(find(role, {length}, &tensor));
    if (!row_is_finite(tensor, 0)) {
      return {StatusCode::kModelFormat,
              "expected finite values for " + role + " but received NaN or infinity"};
    }
    out->resize(static_cast<size_t>(length));
    dequantize_row(tensor, 0, out->data());
    model_->vector_bytes_ += length * static_cast<int64_t>(sizeof(float));
    return {};
  }

  Status take_matrix(const std::string& role, const std::vector<int64_t>& shape,
                     const MatrixSelection& selection, AirMatrix* matrix) {
    Tensor tensor;
    AIR_RETURN_IF_ERROR(find(role, shape, &tensor));
    return packer_.add_matrix(tensor, selection, matrix);
  }

  Status take_linear(const std::string& role, int64_t rows, int64_t cols, const MatrixSelection& selection,
                     Linear* linear) {
    AIR_RETURN_IF_ERROR(take_matrix(role + ".weight", {rows, cols}, selection, &linear->weight));
    std::vector<float>& bias = linear->bias;
    AIR_RETURN_IF_ERROR(take_vector(role + ".bias", rows, false, &bias));
    if (bias.empty() || selection.rows.empty()) return {};
    for (size_t i = 0; i < selection.rows.size(); ++i) bias[i] = bias[static_cast<size_t>(selection.rows[i])];
    model_->vector_bytes_ -= (rows - linear->weight.rows) * static_cast<int64_t>(sizeof(float));
    bias.resize(selection.rows.size());
    bias.shrink_to_fit();
    return {};
  }

  Status take_attention(const std::string& role, LayerWeights* layer) {
    const DecoderSpec& spec = model_->spec_;
    const LayerShape& shape = layer->shape;
    const int64_t width = spec.embedding_length;
    const int64_t query_width = spec.query_heads * spec.head_dim;
    const int64_t kv_width = spec.kv_heads * spec.head_dim;
    if (shape.query_heads.empty()) return take_vector(role + "o.bias", width, false, &layer->o.bias);
    AIR_RETURN_IF_ERROR(take_linear(role + "q", query_width, width, shape.query_rows, &layer->q));
    AIR_RETURN_IF_ERROR(take_linear(role + "k", kv_width, width, shape.kv_rows, &layer->k));
    AIR_RETURN_IF_ERROR(take_linear(role + "v", kv_width, width, shape.kv_rows, &layer->v));
    return take_linear(role + "o", width, query_width, shape.query_columns, &layer->o);
  }

  Status take_feed_forward(const std::string& role, LayerWeights* layer) {
    const int64_t width = model_->spec_.embedding_length;
    const int64_t length = model_->spec_.feed_forward_length;
    const LayerShape& shape = layer->shape;
    AIR_RETURN_IF_ERROR(take_linear(role + "gate", length, width, shape.channel_rows, &layer->gate));
    AIR_RETURN_IF_ERROR(take_linear(role + "up", length, width, shape.channel_rows, &layer->up));
    return take_linear(role + "down", width, length, shape.channel_columns, &layer->down);
  }

  Status take_layers() {
    const DecoderSpec& spec = model_->spec_;
    const int64_t width = spec.embedding_length;
    model_->layers_.resize(static_cast<size_t>(spec.layers));  // the packer keeps pointers into it
    for (int64_t index = 0; index < spec.layers; ++index) {
      if (index == options_.host_layers) host_bytes_ = packer_.packed_bytes();
      LayerWeights& layer = model_->layers_[static_cast<size_t>(index)];
      const std::string role = "layers." + std::to_string(index) + ".";
      layer.shape = layer_shape(spec, options_.pruning, index);
      model_->is_pruned_ |= layer.shape.query_count() < spec.query_heads ||
                            layer.shape.feed_forward_length < spec.feed_forward_length;
      AIR_RETURN_IF_ERROR(take_vector(role + "attention_norm.weight", width, true, &layer.attention_norm));
      AIR_RETURN_IF_ERROR(take_attention(role + "attention.", &layer));
      AIR_RETURN_IF_ERROR(
          take_vector(role + "feed_forward_norm.weight", width, true, &layer.feed_forward_norm));
      AIR_RETURN_IF_ERROR(take_feed_forward(role + "feed_forward.", &layer));
    }
    return {};
  }

  Status obtain_weights() {
    ThreadPool pool;
    AIR_RETURN_IF_ERROR(pool.start(options_.threads));
    model_->packed_bytes_ = packer_.packed_bytes();
    if (options_.upload && options_.pack_cache.empty()) {
      AIR_RETURN_IF_ERROR(upload_as_packed(pool));
    } else {
      AIR_RETURN_IF_ERROR(options_.pack_cache.empty() ? pack(pool, 0) : pack_with_cache(pool));
    }
    model_->conversions_ = packer_.conversions();
    if (options_.upload && !options_.pack_cache.empty()) {
      PackedMatrices all;
      AIR_RETURN_IF_ERROR(options_.upload(*model_, pool, all));
    }
    if (options_.upload) forget_uploaded();
    progress_.finish();
    return progress_.report();
  }

  // Matrices that lie in memory all together.
  class PackedMatrices final : public MatrixSource {
   public:
    Status provide(const AirMatrix* const*, int) override { return {}; }
  };

  // Matrices that are packed when they are wanted, so that no more of them are in memory than go to the device at once.
  class MatricesInTurn final : public MatrixSource {
   public:
    MatricesInTurn(Packer& packer, ThreadPool& pool, Progress& progress)
        : packer_(packer), pool_(pool), progress_(progress) {}
    Status provide(const AirMatrix* const* matrices, int count) override {
      return packer_.pack_some(pool_, progress_, matrices, count, &memory_);
    }

   private:
    Packer& packer_;
    ThreadPool& pool_;
    Progress& progress_;
    AlignedBuffer memory_;
  };

  Status upload_as_packed(ThreadPool& pool) {
    progress_.start(packer_.source_bytes());
    AIR_RETURN_IF_ERROR(packer_.check_in_place(pool, progress_));
    std::vector<const AirMatrix*> staying;
    for (int64_t layer = 0; layer < options_.host_layers; ++layer)
      for (AirMatrix* matrix : matrices_of(layer)) staying.push_back(matrix);
    AIR_RETURN_IF_ERROR(packer_.pack_some(pool, progress_, staying.data(), static_cast<int>(staying.size()),
                                          &model_->packed_));
    MatricesInTurn matrices(packer_, pool, progress_);
    AIR_RETURN_IF_ERROR(options_.upload(*model_, pool, matrices));
    packer_.drop_source();
    return model_->check_files();
  }

  std::vector<AirMatrix*> matrices_of(int64_t layer) {
    LayerWeights& weights = model_->layers_[static_cast<size_t>(layer)];
    std::vector<AirMatrix*> matrices;
    for (Linear* linear :
         {&weights.q, &weights.k, &weights.v, &weights.o, &weights.gate, &weights.up, &weights.down})
      matrices.push_back(&linear->weight);
    return matrices;
  }

  // The matrices of the first layers come first where all were packed together.
  void forget_uploaded() {
    model_->output_.weight.data = nullptr;
    for (int64_t layer = options_.host_layers; layer < model_->spec_.layers; ++layer)
      for (AirMatrix* matrix : matrices_of(layer)) matrix->data = nullptr;
    model_->packed_.shrink(host_bytes_);
  }

  // `later_bytes` are those of the work that follows.
  Status pack(ThreadPool& pool, int64_t later_bytes) {
    AIR_RETURN_IF_ERROR(model_->packed_.allocate(packer_.packed_bytes(), "packed weights"));
    packer_.place(model_->packed_.data());
    progress_.start(packer_.source_bytes() + later_bytes);
    AIR_RETURN_IF_ERROR(packer_.pack(pool, progress_, !options_.pack_cache.empty(), model_->packed_.data()));
    packer_.drop_source();  // pages that two chunks share, and what the system has mapped around them
    return model_->check_files();
  }

  Status pack_with_cache(ThreadPool& pool) {
    const PackKey key = pack_key();
    PackCacheReport& report = model_->pack_cache_;
    report.file = pack_file_path(options_.pack_cache, key);
    const Status opened = map_packed(key, pool);
    packer_.drop_source();  // what planning and identifying it have read
    if (opened.ok()) {
      report.outcome = PackCacheOutcome::kHit;
      return {};
    }
    if (opened.code() == StatusCode::kCancelled) return opened;

    AIR_RETURN_IF_ERROR(pack(pool, packer_.packed_bytes()));
    PackContent content{packer_.source_hash(), {}};
    for (const Conversion& conversion : packer_.conversions()) content.errors.push_back(conversion.error);
    const Status written = write_pack_file(report.file, key, content, model_->packed_.data(), progress_);
    if (written.code() == StatusCode::kCancelled) return written;
    report.outcome = written.ok() ? PackCacheOutcome::kWritten : PackCacheOutcome::kUnwritten;
    report.reason = written.ok() ? opened.message() : written.message();
    return {};
  }

  Status map_packed(const PackKey& key, ThreadPool& pool) {
    const auto source_hash = [&](uint64_t* hash) {
      progress_.start(packer_.source_bytes());
      AIR_RETURN_IF_ERROR(packer_.hash_source(pool, progress_));
      *hash = packer_.source_hash();
      return Status();
    };
    PackFile pack;
    AIR_RETURN_IF_ERROR(open_pack_file(model_->pack_cache_.file, key, pool, progress_, source_hash, &pack));
    packer_.place(pack.packed);
    packer_.set_conversion_errors(pack.content.errors);
    model_->files_.push_back(std::move(pack.file));
    return {};
  }

  PackKey pack_key() const {
    std::vector<int64_t> state;  // size and time of each file
    for (const MappedFile& file : model_->files_) {
      state.push_back(file.bytes());
      state.push_back(file.modified_nanos());
    }
    PackKey key;
    std::error_code error;
    key.source = std::filesystem::absolute(directory_.files.front(), error).lexically_normal().string();
    key.layout = layout_name(options_.layout);
    key.identity = packer_.identity();
    key.modified = hash_bytes(state.data(), static_cast<int64_t>(state.size() * sizeof(int64_t)), 0);
    key.packed_bytes = packer_.packed_bytes();
    key.conversions = packer_.conversions().size();
    return key;
  }

  const TensorDirectory& directory_;
  const LoadOptions& options_;
  Progress progress_;
  std::unique_ptr<Model> model_;
  Packer packer_;
  int64_t host_bytes_ = 0;  // packed, of the first host_layers
};

Status Model::load(const TensorDirectory& directory, const DecoderSpec& spec, const LoadOptions& options,
                   std::shared_ptr<const Model>* model) {
  return ModelLoader(directory, options).load(spec, model);
}

Status Model::check_files() const {
  for (const MappedFile& file : files_) AIR_RETURN_IF_ERROR(file.check_unchanged());
  return {};
}

Status Model::column_squares(const std::string& role, std::vector<float>* out) const {
  const auto found = tensors_.find(role);
  if (found == tensors_.end() || found->second.shape.size() != 2) {
    return {StatusCode::kArgument, "expected the role of a matrix for role but received \"" + role + "\""};
  }
  AIR_RETURN_IF_ERROR(check_files());
  const std::vector<double> sums = air::column_squares(found->second);
  out->resize(sums.size());
  for (size_t col = 0; col < sums.size(); ++col) (*out)[col] = static_cast<float>(sums[col]);
  return {};
}

}  // namespace air
