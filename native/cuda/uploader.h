// Weights on their way to the device: packed by all threads into page-locked pieces, of which one is filled while the
// other crosses. No copy of a whole matrix is made on the host.
#ifndef AIR_CUDA_UPLOADER_H_
#define AIR_CUDA_UPLOADER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/cuda/memory.h"
#include "native/cuda/stream.h"
#include "native/cuda/weights/device_matrix.h"

namespace air::cuda {

class Uploader {
 public:
  Status create(std::shared_ptr<Context> context);

  // The matrix's tiles, as planned for these sources, to `to`.
  Status matrix(const DeviceMatrix& matrix, const AirMatrix* const* sources, ThreadPool& pool,
                DevicePointer to);
  Status bytes(const void* data, int64_t count, DevicePointer to);
  // Everything has arrived when it returns.
  Status finish();

 private:
  struct Piece {
    PinnedBuffer memory;
    Event crossed;
  };

  // Fills the next piece by fill(memory) and sends it off.
  Status send(int64_t count, DevicePointer to, const std::function<void(uint8_t*)>& fill);

  std::shared_ptr<Context> context_;
  Stream stream_;
  Piece pieces_[2];
  int next_ = 0;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_UPLOADER_H_
