#include "native/core/model.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <unordered_map>

#include "native/core/thread_pool.h"

namespace air {

namespace {

constexpr int64_t kSectionAlignment = 4096;  // matrices start on pages
constexpr int64_t kTilesPerChunk = 8;        // unit of parallel packing

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

}  // namespace

class ModelLoader {
 public:
  ModelLoader(const TensorDirectory& directory, int threads, const ProgressCallback& progress)
      : directory_(directory), threads_(threads), progress_(progress), model_(new Model()) {}

  Status load(const DecoderSpec& spec, std::shared_ptr<const Model>* out) {
    AIR_RETURN_IF_ERROR(check_spec(spec));
    model_->spec_ = spec;
    AIR_RETURN_IF_ERROR(map_tensors());
    AIR_RETURN_IF_ERROR(take_layers());
    AIR_RETURN_IF_ERROR(
        take_vector("output_norm.weight", spec.embedding_length, true, &model_->output_norm_));
    const std::vector<int64_t> vocabulary{spec.vocab_size, spec.embedding_length};
    AIR_RETURN_IF_ERROR(find("token_embedding.weight", vocabulary, &model_->embedding_));
    const char* output_role = spec.tied_output ? "token_embedding.weight" : "output.weight";
    AIR_RETURN_IF_ERROR(take_matrix(output_role, vocabulary, &model_->output_.weight));
    AIR_RETURN_IF_ERROR(take_vector("output.bias", spec.vocab_size, false, &model_->output_.bias));
    AIR_RETURN_IF_ERROR(pack());
    *out = std::shared_ptr<const Model>(model_.release());
    return {};
  }

 private:
  // A matrix on its way from its tensor to its place in Model::packed_.
  struct Job {
    Tensor tensor;
    AirMatrix* matrix = nullptr;
    int64_t offset = 0;  // bytes into packed_
    int64_t first_chunk = 0;
    size_t conversion = 0;
  };

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
      if (!tensors_.emplace(entry.role, std::move(tensor)).second) {
        return {StatusCode::kModelFormat, "expected one tensor for " + entry.role + " but received two"};
      }
    }
    return {};
  }

  Status find(const std::string& role, const std::vector<int64_t>& shape, Tensor* tensor) {
    const auto found = tensors_.find(role);
    if (found == tensors_.end()) {
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
    if (!required && tensors_.count(role) == 0) return {};
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

  Status take_matrix(const std::string& role, const std::vector<int64_t>& shape, AirMatrix* matrix) {
    Job job;
    AIR_RETURN_IF_ERROR(find(role, shape, &job.tensor));
    int64_t bytes = 0;
    AIR_RETURN_IF_ERROR(plan_matrix(job.tensor, matrix, &bytes));
    job.matrix = matrix;
    job.offset = total_bytes_;
    job.first_chunk = total_chunks_;
    job.conversion = conversion_index(job.tensor.type, static_cast<AirWeightClass>(matrix->weight_class));
    total_bytes_ += round_up(bytes, kSectionAlignment);
    total_chunks_ += chunks_of(*matrix);
    total_file_bytes_ += job.tensor.length_bytes;
    jobs_.push_back(std::move(job));
    return {};
  }

  Status take_linear(const std::string& role, int64_t rows, int64_t cols, Linear* linear) {
    AIR_RETURN_IF_ERROR(take_matrix(role + ".weight", {rows, cols}, &linear->weight));
    return take_vector(role + ".bias", rows, false, &linear->bias);
  }

  Status take_layers() {
    const DecoderSpec& spec = model_->spec_;
    const int64_t width = spec.embedding_length;
    const int64_t query_width = spec.query_heads * spec.head_dim;
    const int64_t kv_width = spec.kv_heads * spec.head_dim;
    model_->layers_.resize(static_cast<size_t>(spec.layers));  // jobs keep pointers into it
    for (int64_t index = 0; index < spec.layers; ++index) {
      LayerWeights& layer = model_->layers_[static_cast<size_t>(index)];
      const std::string role = "layers." + std::to_string(index) + ".";
      AIR_RETURN_IF_ERROR(take_vector(role + "attention_norm.weight", width, true, &layer.attention_norm));
      AIR_RETURN_IF_ERROR(take_linear(role + "attention.q", query_width, width, &layer.q));
      AIR_RETURN_IF_ERROR(take_linear(role + "attention.k", kv_width, width, &layer.k));
      AIR_RETURN_IF_ERROR(take_linear(role + "attention.v", kv_width, width, &layer.v));
      AIR_RETURN_IF_ERROR(take_linear(role + "attention.o", width, query_width, &layer.o));
      AIR_RETURN_IF_ERROR(
          take_vector(role + "feed_forward_norm.weight", width, true, &layer.feed_forward_norm));
      AIR_RETURN_IF_ERROR(
          take_linear(role + "feed_forward.gate", spec.feed_forward_length, width, &layer.gate));
      AIR_RETURN_IF_ERROR(take_linear(role + "feed_forward.up", spec.feed_forward_length, width, &layer.up));
      AIR_RETURN_IF_ERROR(
          take_linear(role + "feed_forward.down", width, spec.feed_forward_length, &layer.down));
    }
    return {};
  }

  size_t conversion_index(TensorType from, AirWeightClass to) {
    auto& all = model_->conversions_;
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Conversion& c) { return c.from == from && c.to == to; });
    const auto index = static_cast<size_t>(found - all.begin());
    if (found == all.end()) all.push_back({from, to, 0, {}});
    ++all[index].tensors;
    return index;
  }

  static int64_t tiles_of(const AirMatrix& matrix) {
    return (matrix.rows + AIR_TILE_ROWS - 1) / AIR_TILE_ROWS;
  }
  static int64_t chunks_of(const AirMatrix& matrix) {
    return (tiles_of(matrix) + kTilesPerChunk - 1) / kTilesPerChunk;
  }

  Status pack() {
    AIR_RETURN_IF_ERROR(model_->packed_.allocate(total_bytes_, "packed weights"));
    for (const Job& job : jobs_) job.matrix->data = model_->packed_.data() + job.offset;
    ThreadPool pool;
    AIR_RETURN_IF_ERROR(pool.start(threads_));
    pool.run([this](Team& team) {
      team.for_each(total_chunks_, 1, [&](int64_t chunk, int64_t) {
        if (failed_.load(std::memory_order_relaxed)) return;
        Status status = pack_and_report(chunk, team.thread() == 0);
        if (!status.ok()) fail(std::move(status));
      });
    });
    if (!first_error_.ok()) return first_error_;
    if (!model_->spec_.tied_output) AIR_RETURN_IF_ERROR(check_embedding());
    return report_progress();
  }

  Status report_progress() {
    if (!progress_ || progress_(done_file_bytes_.load(std::memory_order_relaxed), total_file_bytes_))
      return {};
    return {StatusCode::kCancelled, "the loading was cancelled"};
  }

  // An exception would leave the team waiting for this thread, or end the process.
  Status pack_and_report(int64_t chunk, bool reports) noexcept {
    try {
      AIR_RETURN_IF_ERROR(pack_chunk(chunk));
      return reports ? report_progress() : Status();
    } catch (const std::bad_alloc&) {
      return {StatusCode::kOutOfMemory, "expected memory for packing but the system refused it"};
    }
  }

  void fail(Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (first_error_.ok()) first_error_ = std::move(status);
    failed_.store(true, std::memory_order_relaxed);
  }

  Status pack_chunk(int64_t chunk) {
    const auto after = std::upper_bound(jobs_.begin(), jobs_.end(), chunk, [](int64_t value, const Job& job) {
      return value < job.first_chunk;
    });
    const Job& job = *(after - 1);
    const int64_t tile_begin = (chunk - job.first_chunk) * kTilesPerChunk;
    const int64_t tile_end = std::min(tile_begin + kTilesPerChunk, tiles_of(*job.matrix));
    ConversionError error;
    AIR_RETURN_IF_ERROR(pack_tiles(job.tensor, *job.matrix, model_->packed_.data() + job.offset, tile_begin,
                                   tile_end, &error));
    const int64_t row_bytes = job.tensor.length_bytes / job.matrix->rows;
    const int64_t row_begin = tile_begin * AIR_TILE_ROWS;
    const int64_t row_end = std::min(tile_end * AIR_TILE_ROWS, job.matrix->rows);
    MappedFile::drop_resident(job.tensor.data + row_begin * row_bytes, (row_end - row_begin) * row_bytes);
    done_file_bytes_.fetch_add((row_end - row_begin) * row_bytes, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    ConversionError& sum = model_->conversions_[job.conversion].error;
    sum.squared_error += error.squared_error;
    sum.squared_weight += error.squared_weight;
    sum.max_abs_error = std::max(sum.max_abs_error, error.max_abs_error);
    return {};
  }

  // A tied embedding was checked while it was packed as the output matrix.
  Status check_embedding() {
    const Tensor& embedding = model_->embedding_;
    for (int64_t row = 0; row < embedding.rows(); ++row) {
      if (!row_is_finite(embedding, row)) {
        return {StatusCode::kModelFormat,
                "expected finite values for token_embedding.weight but received NaN or "
                "infinity in row " +
                    std::to_string(row)};
      }
    }
    MappedFile::drop_resident(embedding.data, embedding.length_bytes);
    return {};
  }

  const TensorDirectory& directory_;
  const int threads_;
  const ProgressCallback& progress_;
  std::unique_ptr<Model> model_;
  std::unordered_map<std::string, Tensor> tensors_;  // by role
  std::vector<Job> jobs_;
  int64_t total_bytes_ = 0;
  int64_t total_chunks_ = 0;
  int64_t total_file_bytes_ = 0;
  std::atomic<int64_t> done_file_bytes_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // guards first_error_ and the sums of conversions_
  Status first_error_;
};

Status Model::load(const TensorDirectory& directory, const DecoderSpec& spec, int threads,
                   const ProgressCallback& progress, std::shared_ptr<const Model>* model) {
  return ModelLoader(directory, threads, progress).load(spec, model);
}

}  // namespace air
