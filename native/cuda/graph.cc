#include "native/cuda/graph.h"

#include <utility>

namespace air::cuda {

Status Graph::record(std::shared_ptr<Context> context, const Stream& stream,
                     const std::function<Status()>& enqueue) {
  const Driver& driver = context->driver();
  AIR_RETURN_IF_ERROR(AIR_CUDA_TRY(*context, capture_begin, "a graph", stream.handle(), kCaptureModeRelaxed));
  const Status queued = enqueue();
  // Also after a failure: it ends the stream's recording.
  GraphHandle graph = nullptr;
  const Status ended = AIR_CUDA_TRY(*context, capture_end, "a graph", stream.handle(), &graph);
  Status status = queued.ok() ? ended : queued;
  if (status.ok()) status = AIR_CUDA_TRY(*context, graph_instantiate, "a graph", &exec_, graph, 0);
  if (graph != nullptr) (void)driver.graph_destroy(graph);
  if (status.ok()) context_ = std::move(context);
  return status;
}

Graph::~Graph() {
  if (exec_ == nullptr || context_ == nullptr) return;
  const Context::Scope scope(*context_);
  (void)context_->driver().graph_exec_destroy(exec_);
}

Status Graph::launch(const Stream& stream) const {
  return AIR_CUDA_TRY(*context_, graph_launch, "a step", exec_, stream.handle());
}

}  // namespace air::cuda
