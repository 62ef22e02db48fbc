#include "native/core/weights/packer.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "native/core/hash.h"
#include "native/core/mapped_file.h"

namespace air {

namespace {

constexpr int64_t kSectionAlignment = 4096;  // matrices start on pages
constexpr int64_t kTilesPerChunk = 8;
constexpr int64_t kSampleBytes = 64;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

Status check_rows(const Tensor& tensor, int64_t row_begin, int64_t row_end) {
  for (int64_t row = row_begin; row < row_end; ++row) {
    if (!row_is_finite(tensor, row)) {
      return {StatusCode::kModelFormat, "expected finite values for " + tensor.role +
                                            " but received NaN or infinity in row " + std::to_string(row)};
    }
  }
  return {};
}

// Nothing for a list that keeps all.
void append_indices(const char* name, const std::vector<int64_t>& indices, std::string* text) {
  if (indices.empty()) return;
  *text += name;
  for (const int64_t index : indices) *text += ' ' + std::to_string(index);
}

}  // namespace

Status Packer::add_matrix(const Tensor& tensor, MatrixSelection selection, AirMatrix* matrix) {
  int64_t bytes = 0;
  AIR_RETURN_IF_ERROR(plan_matrix(tensor, selection, layout_, matrix, &bytes));
  Job job;
  job.tensor = tensor;
  job.selection = std::move(selection);
  job.matrix = matrix;
  job.offset = packed_bytes_;
  job.bytes = round_up(bytes, kSectionAlignment);
  job.conversion = conversion_index(tensor.type, static_cast<AirWeightClass>(matrix->weight_class));
  packed_bytes_ += job.bytes;
  add_job(std::move(job));
  return {};
}

void Packer::add_in_place(const Tensor& tensor) {
  Job job;
  job.tensor = tensor;
  add_job(std::move(job));
}

void Packer::add_job(Job job) {
  job.first_chunk = chunks_;
  chunks_ += chunk_count(job);
  source_bytes_ += job.tensor.length_bytes;
  jobs_.push_back(std::move(job));
}

int64_t Packer::chunk_count(const Job& job) const {
  return (tiles_of(job.selection.row_count(job.tensor)) + kTilesPerChunk - 1) / kTilesPerChunk;
}

size_t Packer::conversion_index(TensorType from, AirWeightClass to) {
  const auto found = std::find_if(conversions_.begin(), conversions_.end(),
                                  [&](const Conversion& c) { return c.from == from && c.to == to; });
  const auto index = static_cast<size_t>(found - conversions_.begin());
  if (found == conversions_.end()) conversions_.push_back({from, to, 0, {}});
  ++conversions_[index].tensors;
  return index;
}

void Packer::set_conversion_errors(const std::vector<ConversionError>& errors) {
  for (size_t i = 0; i < conversions_.size(); ++i) conversions_[i].error = errors[i];
}

void Packer::place(const uint8_t* packed) const {
  for (const Job& job : jobs_) {
    if (job.matrix != nullptr) job.matrix->data = packed == nullptr ? nullptr : packed + job.offset;
  }
}

uint64_t Packer::identity() const {
  std::string text = layout_name(layout_);
  for (const Job& job : jobs_) {
    const Tensor& tensor = job.tensor;
    const int weight_class = job.matrix == nullptr ? -1 : job.matrix->weight_class;
    text += '\n' + tensor.role + ' ' + tensor_type_info(tensor.type).name + ' ' +
            std::to_string(tensor.rows()) + ' ' + std::to_string(tensor.cols()) + ' ' +
            std::to_string(weight_class) + ' ' + std::to_string(job.offset) + ' ';
    const auto sample = static_cast<size_t>(std::min(kSampleBytes, tensor.length_bytes));
    text.append(reinterpret_cast<const char*>(tensor.data), sample);
    append_indices("rows", job.selection.rows, &text);
    append_indices("column groups", job.selection.column_groups, &text);
  }
  return hash_bytes(text.data(), static_cast<int64_t>(text.size()), 0);
}

void Packer::drop_source() const {
  for (const Job& job : jobs_) MappedFile::drop_resident(job.tensor.data, job.tensor.length_bytes);
}

Status Packer::pack(ThreadPool& pool, Progress& progress, bool hashes_source, uint8_t* packed) {
  return for_each_chunk(pool, progress, hashes_source, 0, chunks_,
                        [&](const Chunk& chunk) { return pack_chunk(chunk, packed + chunk.job.offset); });
}

Status Packer::hash_source(ThreadPool& pool, Progress& progress) {
  return for_each_chunk(pool, progress, true, 0, chunks_, [](const Chunk&) { return Status(); });
}

Status Packer::pack_some(ThreadPool& pool, Progress& progress, const AirMatrix* const* matrices, int count,
                         AlignedBuffer* memory) {
  std::vector<const Job*> jobs;
  int64_t bytes = 0;
  for (const Job& job : jobs_) {
    if (job.matrix == nullptr || std::find(matrices, matrices + count, job.matrix) == matrices + count)
      continue;
    jobs.push_back(&job);
    bytes += job.bytes;
  }
  AIR_RETURN_IF_ERROR(memory->allocate(bytes, "packed weights"));
  uint8_t* data = memory->data();
  for (const Job* job : jobs) {
    job->matrix->data = data;
    const auto pack = [&](const Chunk& chunk) { return pack_chunk(chunk, data); };
    AIR_RETURN_IF_ERROR(
        for_each_chunk(pool, progress, false, job->first_chunk, job->first_chunk + chunk_count(*job), pack));
    data += job->bytes;
  }
  return {};
}

Status Packer::check_in_place(ThreadPool& pool, Progress& progress) {
  for (const Job& job : jobs_) {
    if (job.matrix != nullptr) continue;
    const auto check = [&](const Chunk& chunk) {
      return check_rows(job.tensor, chunk.row_begin, chunk.row_end);
    };
    AIR_RETURN_IF_ERROR(
        for_each_chunk(pool, progress, false, job.first_chunk, job.first_chunk + chunk_count(job), check));
  }
  return {};
}

// work(chunk), a hash of its source if asked, and no more of its pages in memory. Stops at the first failure.
template <typename Work>
Status Packer::for_each_chunk(ThreadPool& pool, Progress& progress, bool hashes_source, int64_t first,
                              int64_t end, const Work& work) {
  source_hash_.store(0, std::memory_order_relaxed);
  const auto step = [&](int64_t index, bool reports) {
    const Chunk chunk = chunk_at(index);
    AIR_RETURN_IF_ERROR(work(chunk));
    if (hashes_source) {
      const uint64_t hash = hash_bytes(chunk.source, chunk.source_bytes, static_cast<uint64_t>(index));
      source_hash_.fetch_add(hash, std::memory_order_relaxed);
    }
    MappedFile::drop_resident(chunk.source, chunk.source_bytes);
    progress.advance(chunk.source_bytes);
    return reports ? progress.report() : Status();
  };
  pool.run([&](Team& team) {
    team.for_each(end - first, 1, [&](int64_t item, int64_t) {
      if (failed_.load(std::memory_order_relaxed)) return;
      // An exception would leave the team waiting for this thread, or end the process.
      try {
        Status status = step(first + item, team.thread() == 0);
        if (!status.ok()) fail(std::move(status));
      } catch (const std::bad_alloc&) {
        fail({StatusCode::kOutOfMemory, "expected memory for packing but the system refused it"});
      }
    });
  });
  return first_error_;
}

void Packer::fail(Status status) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (first_error_.ok()) first_error_ = std::move(status);
  failed_.store(true, std::memory_order_relaxed);
}

Packer::Chunk Packer::chunk_at(int64_t index) const {
  const auto after = std::upper_bound(jobs_.begin(), jobs_.end(), index,
                                      [](int64_t value, const Job& job) { return value < job.first_chunk; });
  const Job& job = *(after - 1);
  const Tensor& tensor = job.tensor;
  const int64_t tiles = tiles_of(job.selection.row_count(tensor));
  const int64_t tile_begin = (index - job.first_chunk) * kTilesPerChunk;
  const int64_t tile_end = std::min(tile_begin + kTilesPerChunk, tiles);
  // Every row of the file belongs to a chunk, so that a hash of the source covers all of it.
  const int64_t row_begin = tile_begin == 0 ? 0 : job.selection.row(tile_begin * AIR_TILE_ROWS);
  const int64_t row_end = tile_end == tiles ? tensor.rows() : job.selection.row(tile_end * AIR_TILE_ROWS);
  const int64_t row_bytes = tensor.length_bytes / tensor.rows();
  const uint8_t* source = tensor.data + row_begin * row_bytes;
  return {job, tile_begin, tile_end, row_begin, row_end, source, (row_end - row_begin) * row_bytes};
}

Status Packer::pack_chunk(const Chunk& chunk, uint8_t* data) {
  const Job& job = chunk.job;
  if (job.matrix == nullptr) return check_rows(job.tensor, chunk.row_begin, chunk.row_end);
  ConversionError error;
  AIR_RETURN_IF_ERROR(
      pack_tiles(job.tensor, job.selection, *job.matrix, data, chunk.tile_begin, chunk.tile_end, &error));
  const std::lock_guard<std::mutex> lock(mutex_);
  ConversionError& sum = conversions_[job.conversion].error;
  sum.squared_error += error.squared_error;
  sum.squared_weight += error.squared_weight;
  sum.max_abs_error = std::max(sum.max_abs_error, error.max_abs_error);
  return {};
}

}  // namespace air
