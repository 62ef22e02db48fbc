// A model's weights in device memory.
#ifndef AIR_CUDA_DEVICE_MODEL_H_
#define AIR_CUDA_DEVICE_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/core/model.h"
#include "native/core/status.h"
#include "native/core/thread_pool.h"
#include "native/cuda/memory.h"
#include "native/cuda/module.h"
#include "native/cuda/weights/device_matrix.h"

namespace air::cuda {

// One launch of a matmul kernel: y (=|+=) W x + bias.
struct DeviceProduct {
  DeviceMatrix matrix;
  DevicePointer weights = 0;
  DevicePointer bias = 0;    // float32 [16 tiles]; or 0
  int64_t first_output = 0;  // column of y
};

// The matrices of a layer as launches. A layer without heads has but o_bias for them.
struct DeviceLayer {
  DevicePointer attention_norm = 0;          // float32 [embedding_length]
  std::vector<DeviceProduct> projections;    // q, k and v, in one launch where their formats allow
  int64_t key_column = 0, value_column = 0;  // of a projected row, where query heads come first
  DeviceProduct o;
  DevicePointer o_bias = 0;  // only without heads; float32 [embedding_length], or 0
  DevicePointer feed_forward_norm = 0;
  std::vector<DeviceProduct> expansions;  // gate and up paired for SwiGLU, or each by itself
  bool is_paired = false;
  DeviceProduct down;
};

class DeviceModel {
 public:
  // Uploads the matrices of `model` from layer first_layer on, each of which is asked for once and not needed afterwards.
  // The embedding stays with the layers before, where there are any.
  static Status create(std::shared_ptr<const Kernels> kernels, const Model& model, int64_t first_layer,
                       ThreadPool& pool, MatrixSource& matrices, std::shared_ptr<const DeviceModel>* out);

  // The layers before are the host's.
  int64_t first_layer() const { return first_layer_; }
  // [layers of the model], empty before first_layer().
  const std::vector<DeviceLayer>& layers() const { return layers_; }
  const DeviceProduct& output() const { return output_; }
  DevicePointer output_norm() const { return output_norm_; }
  // The file's token embedding, [vocab_size] rows of embedding_row_bytes, in the file's type; 0 with layers on the host.
  DevicePointer embedding() const { return embedding_; }
  TensorType embedding_type() const { return embedding_type_; }
  int64_t embedding_row_bytes() const { return embedding_row_bytes_; }
  // Most columns of a projected row, padding of tiles included.
  int64_t projected_columns() const { return projected_columns_; }
  const Kernels& kernels() const { return *kernels_; }
  Context& context() const { return kernels_->context(); }
  const std::shared_ptr<Context>& shared_context() const { return kernels_->shared_context(); }
  int64_t bytes() const { return memory_.bytes(); }

 private:
  friend class DeviceModelBuilder;
  DeviceModel(std::shared_ptr<const Kernels> kernels, int64_t first_layer)
      : kernels_(std::move(kernels)), first_layer_(first_layer) {}

  const std::shared_ptr<const Kernels> kernels_;
  const int64_t first_layer_;
  DeviceBuffer memory_;
  std::vector<DeviceLayer> layers_;
  DeviceProduct output_;
  DevicePointer output_norm_ = 0;
  DevicePointer embedding_ = 0;
  TensorType embedding_type_ = TensorType::kF32;
  int64_t embedding_row_bytes_ = 0;
  int64_t projected_columns_ = 0;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_DEVICE_MODEL_H_
