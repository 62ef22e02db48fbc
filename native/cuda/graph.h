// Work of a stream, recorded once and launched as a whole.
#ifndef AIR_CUDA_GRAPH_H_
#define AIR_CUDA_GRAPH_H_

#include <functional>
#include <memory>

#include "native/core/status.h"
#include "native/cuda/stream.h"

namespace air::cuda {

// Calls need a Context::Scope on the calling thread.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Records what `enqueue` queues on the stream, none of which is done. After a failure the stream is as before.
  Status record(std::shared_ptr<Context> context, const Stream& stream,
                const std::function<Status()>& enqueue);
  Status launch(const Stream& stream) const;

 private:
  std::shared_ptr<Context> context_;
  GraphExecHandle exec_ = nullptr;
};

}  // namespace air::cuda

#endif  // AIR_CUDA_GRAPH_H_
