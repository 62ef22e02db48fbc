#include "native/cuda/uploader.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace air::cuda {

namespace {

constexpr int64_t kPieceBytes = int64_t{8} << 20;

}  // namespace

Status Uploader::create(std::shared_ptr<Context> context) {
  context_ = std::move(context);
  const Context::Scope scope(*context_);
  AIR_RETURN_IF_ERROR(scope.status());
  AIR_RETURN_IF_ERROR(stream_.create(context_));
  for (Piece& piece : pieces_) {
    AIR_RETURN_IF_ERROR(piece.memory.allocate(context_, kPieceBytes, "the upload of weights"));
    AIR_RETURN_IF_ERROR(piece.crossed.create(context_));
  }
  return {};
}

Status Uploader::send(int64_t count, DevicePointer to, const std::function<void(uint8_t*)>& fill) {
  const Context::Scope scope(*context_);
  AIR_RETURN_IF_ERROR(scope.status());
  Piece& piece = pieces_[next_];
  next_ = 1 - next_;
  AIR_RETURN_IF_ERROR(piece.crossed.synchronize());
  if (count > piece.memory.bytes())
    AIR_RETURN_IF_ERROR(piece.memory.allocate(context_, count, "the upload of weights"));
  fill(piece.memory.data());
  AIR_RETURN_IF_ERROR(stream_.to_device(to, piece.memory.data(), count));
  return piece.crossed.record(stream_);
}

Status Uploader::matrix(const DeviceMatrix& matrix, const AirMatrix* const* sources, ThreadPool& pool,
                        DevicePointer to) {
  const int64_t step = std::max<int64_t>(kPieceBytes / matrix.tile_stride, 1);
  for (int64_t first = 0; first < matrix.tiles; first += step) {
    const int64_t count = std::min<int64_t>(step, matrix.tiles - first);
    const auto pack = [&](uint8_t* memory) {
      pool.run([&](Team& team) {
        team.for_each(count, 1, [&](int64_t tile, int64_t) {
          pack_device_tiles(matrix, sources, first + tile, first + tile + 1,
                            memory + tile * matrix.tile_stride);
        });
      });
    };
    AIR_RETURN_IF_ERROR(
        send(count * matrix.tile_stride, to + static_cast<DevicePointer>(first * matrix.tile_stride), pack));
  }
  return {};
}

Status Uploader::bytes(const void* data, int64_t count, DevicePointer to) {
  const auto* source = static_cast<const uint8_t*>(data);
  for (int64_t at = 0; at < count; at += kPieceBytes) {
    const int64_t piece = std::min(kPieceBytes, count - at);
    AIR_RETURN_IF_ERROR(send(piece, to + static_cast<DevicePointer>(at), [&](uint8_t* memory) {
      std::memcpy(memory, source + at, static_cast<size_t>(piece));
    }));
  }
  return {};
}

Status Uploader::finish() {
  const Context::Scope scope(*context_);
  AIR_RETURN_IF_ERROR(scope.status());
  return stream_.synchronize();
}

}  // namespace air::cuda
