// What the page mass kernels are given: shared by kernels and host, plain C++.
#ifndef AIR_KERNELS_CUDA_PAGE_MASS_PARAMS_H_
#define AIR_KERNELS_CUDA_PAGE_MASS_PARAMS_H_

#include "kernels/cuda/attention_params.h"

namespace air::cuda {

constexpr int32_t kPageMassThreads = 128;

struct PageMassParams {
  // Of the layer's attention: queries, sink_queries, ranges, page_tables, gates, members, kv_heads, query_heads,
  // range_stride and the layout of pages. Nothing else of it is read.
  AttentionParams attention;

  const int32_t* sequence_count;  // one element
  const int32_t* last_tokens;     // [sequences] the newest token of each
  int32_t sequences;              // most of a step: the strides below
  int32_t groups;
  int32_t table_pages;   // most pages of a sequence in a group
  int32_t mass_heads;    // most query heads of a layer
  PartialStats* scores;  // [mass_heads, sequences, table_pages], of one head over one page; scratch
  float* mass;  // [mass_heads, groups, sequences, table_pages] sums over layers; zero before the first
  float* out;   // [groups, sequences, table_pages], sums to 1 over the pages of a table, or all 0
};

}  // namespace air::cuda

#endif  // AIR_KERNELS_CUDA_PAGE_MASS_PARAMS_H_
