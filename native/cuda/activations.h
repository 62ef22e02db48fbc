// Activations of one runner in device memory.
#ifndef AIR_CUDA_ACTIVATIONS_H_
#define AIR_CUDA_ACTIVATIONS_H_

#include <cstdint>

#include "native/core/model.h"
#include "native/cuda/device_model.h"
#include "native/cuda/memory.h"

namespace air::cuda {

// T = most tokens, D = padded head dim. Layers that keep fewer heads or channels use the beginning of a buffer.
struct Activations {
  DevicePointer residual = 0;        // float32 [T, embedding_length]
  DevicePointer logit_residual = 0;  // the same, of the rows that have logits
  DevicePointer normed = 0;          // binary16 [T, normed_stride]
  DevicePointer projected = 0;       // float32 [T, projected_columns]
  DevicePointer queries = 0;         // binary16 [T, query_heads, D]
  DevicePointer sink_queries = 0;    // the same
  DevicePointer attended = 0;        // binary16 [T, query_heads * head_dim]
  DevicePointer gate = 0;            // float32 [T, expanded_stride]; 0 when every layer's matrices are paired
  DevicePointer up = 0;
  DevicePointer hidden = 0;   // binary16 [T, hidden_stride]
  DevicePointer logits = 0;   // float32 [logit_rows, vocab_size]
  DevicePointer drafted = 0;  // int32 [T] tokens
  int64_t normed_stride = 0;
  int64_t expanded_stride = 0;
  int64_t hidden_stride = 0;
  int64_t logit_rows = 0;  // whose logits there is room for at a time

  Status allocate(const DeviceModel& device, const Model& model, int64_t tokens);
  int64_t bytes() const { return memory_.bytes(); }

 private:
  int64_t carve(const DeviceModel& device, const Model& model, int64_t tokens, DevicePointer base);

  DeviceBuffer memory_;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_ACTIVATIONS_H_
