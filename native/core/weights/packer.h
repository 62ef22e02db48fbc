// The matrices of a model on their way from the file into one block of packed memory.
#ifndef AIR_CORE_WEIGHTS_PACKER_H_
#define AIR_CORE_WEIGHTS_PACKER_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "kernels/include/air_formats.h"
#include "native/core/aligned_buffer.h"
#include "native/core/progress.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/core/weights/pack.h"
#include "native/core/weights/tensor.h"

namespace air {

// What packing did to the tensors of one (file type, class) pair.
struct Conversion {
  TensorType from = TensorType::kF32;
  AirWeightClass to = AIR_WEIGHT_F32;
  int64_t tensors = 0;
  ConversionError error;
};

class Packer {
 public:
  explicit Packer(AirLayout layout) : layout_(layout) {}

  // Plans a place for the selected part of the tensor. `matrix` gets its shape now and its data from place(); it must
  // not move.
  Status add_matrix(const Tensor& tensor, MatrixSelection selection, AirMatrix* matrix);
  // A matrix whose rows are read from the file: pack() checks them for NaN, no more.
  void add_in_place(const Tensor& tensor);

  int64_t packed_bytes() const noexcept { return packed_bytes_; }
  int64_t source_bytes() const noexcept { return source_bytes_; }
  const std::vector<Conversion>& conversions() const noexcept { return conversions_; }
  void set_conversion_errors(const std::vector<ConversionError>& errors);

  // Points the matrices into `packed`, which holds packed_bytes(), 4096-aligned; or, with null, nowhere.
  void place(const uint8_t* packed) const;

  // Packs everything into `packed`, checks every weight, measures the conversions and, for a pack cache, hashes
  // the source. The file's resident pages are released as it goes. Advances `progress` by source_bytes().
  Status pack(ThreadPool& pool, Progress& progress, bool hashes_source, uint8_t* packed);

  // For who wants the matrices one after the other and the source but once: packs these into `memory`, side by side, and
  // points them there. Advances `progress` by their source bytes.
  Status pack_some(ThreadPool& pool, Progress& progress, const AirMatrix* const* matrices, int count,
                   AlignedBuffer* memory);
  // Checks every weight that stays in the file. Advances `progress` by its bytes.
  Status check_in_place(ThreadPool& pool, Progress& progress);

  // Hash of what decides the packed layout, and of a few bytes of every tensor to tell models of one shape apart.
  uint64_t identity() const;
  // Hash of all source bytes as pack() leaves it in source_hash(). Advances `progress` by source_bytes().
  Status hash_source(ThreadPool& pool, Progress& progress);
  uint64_t source_hash() const noexcept { return source_hash_.load(std::memory_order_relaxed); }

  // Releases the resident pages of the source.
  void drop_source() const;

 private:
  struct Job {
    Tensor tensor;
    MatrixSelection selection;
    AirMatrix* matrix = nullptr;  // null: checked in place
    int64_t offset = 0;           // bytes into the packed memory
    int64_t bytes = 0;            // that it takes there
    int64_t first_chunk = 0;
    size_t conversion = 0;
  };
  // Rows of one job, the unit of parallel work.
  struct Chunk {
    const Job& job;
    int64_t tile_begin, tile_end;
    int64_t row_begin, row_end;  // of the file: the packed rows, and those left out after each
    const uint8_t* source;       // of row_begin
    int64_t source_bytes;
  };

  void add_job(Job job);
  size_t conversion_index(TensorType from, AirWeightClass to);
  Chunk chunk_at(int64_t index) const;
  // data: of the chunk's matrix
  Status pack_chunk(const Chunk& chunk, uint8_t* data);
  int64_t chunk_count(const Job& job) const;
  // work(chunk) for the chunks [first, end).
  template <typename Work>
  Status for_each_chunk(ThreadPool& pool, Progress& progress, bool hashes_source, int64_t first, int64_t end,
                        const Work& work);
  void fail(Status status);

  const AirLayout layout_;
  std::vector<Job> jobs_;
  std::vector<Conversion> conversions_;
  int64_t packed_bytes_ = 0;
  int64_t source_bytes_ = 0;
  int64_t chunks_ = 0;
  std::atomic<uint64_t> source_hash_{0};  // sum over chunks, whose order does not matter then
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // guards first_error_ and the errors of conversions_ while threads work
  Status first_error_;
};

}  // namespace air

#endif  // AIR_CORE_WEIGHTS_PACKER_H_
