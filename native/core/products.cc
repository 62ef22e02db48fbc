#include "native/core/products.h"

#include <algorithm>

#include "native/core/weights/pack.h"

namespace air {

namespace {

// Rows that one pass over a weight tile serves: their activations stay in the L2 cache meanwhile.
constexpr int64_t kRowBlock = 128;
// Weights that a thread takes at a time at most: its rows pass over them one panel after another, so they
// have to stay in the L2 cache.
constexpr int64_t kLargestPieceBytes = int64_t{512} << 10;
// So few rows pass over the weights together, and a piece may be of any size.
constexpr int64_t kRowsOfOnePass = 8;
// And at least, for so few rows: a piece starts with weights that nobody has asked memory for. This many take
// about 2 us to read.
constexpr int64_t kSmallestPieceBytes = int64_t{64} << 10;

// Tiles [first, last) of the products laid end to end.
void multiply_tiles(const AirKernelTable& kernels, const Product* products, int count, int64_t first,
                    int64_t last, int64_t row_begin, int64_t row_end) {
  for (int i = 0; i < count; ++i) {
    const AirMatrix& weight = products[i].linear->weight;
    const int64_t tiles = tiles_of(weight.rows);
    const int64_t begin = std::max<int64_t>(first, 0);
    const int64_t end = std::min(last, tiles);
    first -= tiles;
    last -= tiles;
    if (begin >= end) continue;
    const AirMatmulArgs args{&weight, products[i].x, products[i].y, weight.rows,      begin,
                             end,     row_begin,     row_end,       products[i].store};
    kernels.matmul[weight.weight_class](&args);
    const std::vector<float>& bias = products[i].linear->bias;
    if (bias.empty()) continue;
    const int64_t col_end = std::min(end * AIR_TILE_ROWS, weight.rows);
    for (int64_t row = row_begin; row < row_end; ++row) {
      for (int64_t col = begin * AIR_TILE_ROWS; col < col_end; ++col) {
        products[i].y[row * weight.rows + col] += bias[static_cast<size_t>(col)];
      }
    }
  }
}

}  // namespace

void multiply(Team& team, const AirKernelTable& kernels, int64_t rows, const Product* products, int count) {
  int64_t tiles = 0;
  int64_t largest_tile_bytes = 1;
  for (int i = 0; i < count; ++i) {
    const AirMatrix& weight = products[i].linear->weight;
    tiles += tiles_of(weight.rows);
    largest_tile_bytes = std::max(largest_tile_bytes, weight.tile_stride);
  }
  const int64_t row_blocks = (rows + kRowBlock - 1) / kRowBlock;
  const bool in_one_pass = rows <= kRowsOfOnePass;
  const int64_t smallest = in_one_pass ? std::max<int64_t>(kSmallestPieceBytes / largest_tile_bytes, 1) : 1;
  const int64_t largest = in_one_pass ? tiles : std::max<int64_t>(kLargestPieceBytes / largest_tile_bytes, 1);
  // Items are (row block, tile) pairs, row blocks outermost.
  team.for_each(row_blocks * tiles, smallest, std::max(smallest, largest), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row_begin = begin / tiles * kRowBlock;
      const int64_t first = begin % tiles;
      const int64_t last = std::min(first + end - begin, tiles);
      multiply_tiles(kernels, products, count, first, last, row_begin, std::min(row_begin + kRowBlock, rows));
      begin += last - first;
    }
  });
}

}  // namespace air
