#include "native/cuda/device_model.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "native/cuda/uploader.h"

namespace air::cuda {

namespace {

constexpr int64_t kAlignment = 256;

}  // namespace

// Plans every piece of the device's memory first, so that one allocation holds all, then fills them in order.
class DeviceModelBuilder {
 public:
  DeviceModelBuilder(DeviceModel* device, const Model& model) : device_(*device), model_(model) {}

  Status plan() {
    device_.layers_.resize(model_.layers().size());
    for (auto index = static_cast<size_t>(device_.first_layer_); index < model_.layers().size(); ++index)
      AIR_RETURN_IF_ERROR(plan_layer(model_.layers()[index], &device_.layers_[index]));
    plan_vector(model_.output_norm(), &device_.output_norm_);
    AIR_RETURN_IF_ERROR(plan_product({&model_.output()}, Arrangement::kStacked, 0, &device_.output_));
    if (device_.first_layer_ == 0) plan_embedding();
    return {};
  }

  Status fill(ThreadPool& pool, MatrixSource& matrices) {
    const std::shared_ptr<Context>& context = device_.kernels_->shared_context();
    AIR_RETURN_IF_ERROR(device_.memory_.allocate(context, planned_, "weights"));
    Uploader uploader;
    AIR_RETURN_IF_ERROR(uploader.create(context));
    for (const Fill& fill : fills_) {
      *fill.address = device_.memory_.address() + static_cast<DevicePointer>(fill.offset);
      AIR_RETURN_IF_ERROR(fill.send({uploader, pool, matrices}, *fill.address));
    }
    return uploader.finish();
  }

 private:
  struct Transfer {
    Uploader& uploader;
    ThreadPool& pool;
    MatrixSource& matrices;
  };
  struct Fill {
    DevicePointer* address;
    int64_t offset;
    std::function<Status(const Transfer&, DevicePointer)> send;
  };

  void add(int64_t bytes, DevicePointer* address,
           std::function<Status(const Transfer&, DevicePointer)> send) {
    fills_.push_back({address, planned_, std::move(send)});
    planned_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  // Nothing for an empty vector. The values outlive the builder.
  void plan_vector(const std::vector<float>& values, DevicePointer* address) {
    if (values.empty()) return;
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(float));
    add(bytes, address, [&values, bytes](const Transfer& transfer, DevicePointer to) {
      return transfer.uploader.bytes(values.data(), bytes, to);
    });
  }

  Status plan_product(const std::vector<const Linear*>& linears, Arrangement arrangement,
                      int64_t first_output, DeviceProduct* product) {
    std::vector<const AirMatrix*> sources;
    std::vector<const std::vector<float>*> biases;
    for (const Linear* linear : linears) {
      sources.push_back(&linear->weight);
      biases.push_back(&linear->bias);
    }
    AIR_RETURN_IF_ERROR(
        plan_device_matrix(sources.data(), static_cast<int>(sources.size()), arrangement, &product->matrix));
    product->first_output = first_output;
    add(product->matrix.bytes, &product->weights,
        [product, sources](const Transfer& transfer, DevicePointer to) {
          AIR_RETURN_IF_ERROR(transfer.matrices.provide(sources.data(), static_cast<int>(sources.size())));
          return transfer.uploader.matrix(product->matrix, sources.data(), transfer.pool, to);
        });
    std::vector<float> bias = arrange_bias(product->matrix, biases.data());
    if (bias.empty()) return {};
    const auto bytes = static_cast<int64_t>(bias.size() * sizeof(float));
    add(bytes, &product->bias, [bias = std::move(bias), bytes](const Transfer& transfer, DevicePointer to) {
      return transfer.uploader.bytes(bias.data(), bytes, to);
    });
    return {};
  }

  // As one launch where the formats allow, else as one for each. Columns of y are the same either way.
  Status plan_stacked(const std::vector<const Linear*>& linears, std::vector<DeviceProduct>* products,
                      std::vector<int64_t>* columns) {
    std::vector<const AirMatrix*> sources;
    int64_t column = 0;
    for (const Linear* linear : linears) {
      sources.push_back(&linear->weight);
      columns->push_back(column);
      column += (linear->weight.rows + AIR_TILE_ROWS - 1) / AIR_TILE_ROWS * AIR_TILE_ROWS;
    }
    columns->push_back(column);
    if (can_arrange(sources.data(), static_cast<int>(sources.size()), Arrangement::kStacked)) {
      products->resize(1);
      return plan_product(linears, Arrangement::kStacked, 0, &products->front());
    }
    products->resize(linears.size());
    for (size_t i = 0; i < linears.size(); ++i)
      AIR_RETURN_IF_ERROR(plan_product({linears[i]}, Arrangement::kStacked, (*columns)[i], &(*products)[i]));
    return {};
  }

  Status plan_layer(const LayerWeights& layer, DeviceLayer* device) {
    plan_vector(layer.attention_norm, &device->attention_norm);
    if (layer.shape.query_heads.empty()) {
      plan_vector(layer.o.bias, &device->o_bias);
    } else {
      std::vector<int64_t> columns;
      AIR_RETURN_IF_ERROR(plan_stacked({&layer.q, &layer.k, &layer.v}, &device->projections, &columns));
      device->key_column = columns[1];
      device->value_column = columns[2];
      device_.projected_columns_ = std::max(device_.projected_columns_, columns[3]);
      AIR_RETURN_IF_ERROR(plan_product({&layer.o}, Arrangement::kStacked, 0, &device->o));
    }
    plan_vector(layer.feed_forward_norm, &device->feed_forward_norm);
    const AirMatrix* expansions[] = {&layer.gate.weight, &layer.up.weight};
    device->is_paired = can_arrange(expansions, 2, Arrangement::kPaired);
    if (device->is_paired) {
      device->expansions.resize(1);
      AIR_RETURN_IF_ERROR(
          plan_product({&layer.gate, &layer.up}, Arrangement::kPaired, 0, &device->expansions.front()));
    } else {
      device->expansions.resize(2);
      AIR_RETURN_IF_ERROR(plan_product({&layer.gate}, Arrangement::kStacked, 0, &device->expansions[0]));
      AIR_RETURN_IF_ERROR(plan_product({&layer.up}, Arrangement::kStacked, 0, &device->expansions[1]));
    }
    return plan_product({&layer.down}, Arrangement::kStacked, 0, &device->down);
  }

  void plan_embedding() {
    const Tensor& embedding = model_.embedding();
    device_.embedding_type_ = embedding.type;
    device_.embedding_row_bytes_ = embedding.length_bytes / embedding.rows();
    add(embedding.length_bytes, &device_.embedding_,
        [&embedding](const Transfer& transfer, DevicePointer to) {
          return transfer.uploader.bytes(embedding.data, embedding.length_bytes, to);
        });
  }

  DeviceModel& device_;
  const Model& model_;
  std::vector<Fill> fills_;
  int64_t planned_ = 0;
};

Status DeviceModel::create(std::shared_ptr<const Kernels> kernels, const Model& model, int64_t first_layer,
                           ThreadPool& pool, MatrixSource& matrices,
                           std::shared_ptr<const DeviceModel>* out) {
  auto created = std::shared_ptr<DeviceModel>(new DeviceModel(std::move(kernels), first_layer));
  DeviceModelBuilder builder(created.get(), model);
  AIR_RETURN_IF_ERROR(builder.plan());
  AIR_RETURN_IF_ERROR(builder.fill(pool, matrices));
  *out = std::move(created);
  return {};
}

}  // namespace air::cuda
