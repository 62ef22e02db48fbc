// Activations regrouped for many rows. A kernel of 12 rows that reads them where they lie needs 36 pointers;
// x86-64 has 16 registers for them, and the compiler's way out (moving pointers through vector registers) cost
// a fifth of the speed. In a panel every load is one pointer and a constant.
#ifndef AIR_KERNELS_SHARED_PANEL_H_
#define AIR_KERNELS_SHARED_PANEL_H_

#include <string.h>

#include "kernels/shared/matmul_tiles.h"

namespace air {

// One group of 32 of one row. An instruction set may have a form of its own, with a fill_group for it; one of
// several rows (kRows) has a fill_panel.
struct PanelGroup {
  static constexpr int kRows = 1;
  int8_t q[AIR_GROUP];
  float scale;
  int32_t start;  // what an unsigned dot product starts from, to end at the signed one
  union {
    float total;           // sum of q, for the mins
    int32_t second_start;  // of the group's second half, with scales per 16; start is then the first half's
  };
};

// sums16: of the two halves of q; offset: how much larger than its meaning a multiplied weight is; in_halves:
// the weights have scales per 16.
static inline void fill_group(const int8_t* q, float scale, const int32_t* sums16, int32_t offset,
                              bool in_halves, PanelGroup* to) {
  memcpy(to->q, q, AIR_GROUP);
  to->scale = scale;
  const int32_t sum = sums16[0] + sums16[1];
  to->start = -offset * (in_halves ? sums16[0] : sum);
  if (in_halves) {
    to->second_start = -offset * sums16[1];
  } else {
    to->total = static_cast<float>(sum);
  }
}

constexpr int kPanelRows = 12;
// 264 KiB of stack on x86-64: 12 rows of 16,384 columns, or fewer rows of more.
constexpr int64_t kPanelGroups = 512 * kPanelRows;
static_assert(kPanelGroups * AIR_GROUP >= AIR_MAX_COLS, "a row must fit");

// How many a panel holds, of kRows rows each.
template <typename Group>
constexpr int64_t kPanelCapacity =
    kPanelGroups / Group::kRows* AIR_GROUP >= AIR_MAX_COLS ? kPanelGroups / Group::kRows
                                                           : AIR_MAX_COLS / AIR_GROUP;

// Computes one tile for a fixed number of rows from `row` on; panel: [cols / 32][rows / Group::kRows, rounded up].
template <typename Group>
using PanelKernel = void (*)(const AirMatmulArgs* args, const Group* panel, int64_t tile, int64_t row);

template <typename Group>
static inline void fill_panel(const AirMatmulArgs* args, int64_t row, int64_t rows, int32_t offset,
                              Group* panel) {
  const AirActivations& x = *args->x;
  const int64_t groups = x.cols / AIR_GROUP;
  const bool in_halves = args->weights->scale_group == 16;
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t* q = x.q + (row + r) * x.cols;
    const float* scales = x.scales + (row + r) * groups;
    const int32_t* sums16 = x.sums16 + (row + r) * groups * 2;
    for (int64_t g = 0; g < groups; ++g) {
      fill_group(q + AIR_GROUP * g, scales[g], sums16 + 2 * g, offset, in_halves, panel + g * rows + r);
    }
  }
}

// Runs the rows in panels as equal in size as can be (16 rows are 8 + 8); kernels[r] computes r + 1 rows.
template <typename Group>
static inline void run_panels(const AirMatmulArgs* args, const PanelKernel<Group> (&kernels)[kPanelRows],
                              int32_t offset) {
  prefetch_start(args);
  Group panel[kPanelCapacity<Group>];
  const int64_t rows_that_fit = kPanelCapacity<Group> / (args->weights->cols / AIR_GROUP) * Group::kRows;
  const int64_t most = rows_that_fit < kPanelRows ? rows_that_fit : kPanelRows;
  for (int64_t row = args->row_begin; row < args->row_end;) {
    const int64_t left = args->row_end - row;
    const int64_t panels = (left + most - 1) / most;
    const int64_t equal = ((left + panels - 1) / panels + Group::kRows - 1) / Group::kRows * Group::kRows;
    const int64_t rows = equal < left ? equal : left;
    fill_panel(args, row, rows, offset, panel);
    for (int64_t tile = args->tile_begin; tile < args->tile_end; ++tile)
      kernels[rows - 1](args, panel, tile, row);
    row += rows;
  }
}

}  // namespace air

#endif  // AIR_KERNELS_SHARED_PANEL_H_
