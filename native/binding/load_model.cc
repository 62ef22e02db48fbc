#include "native/binding/load_model.h"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "native/binding/cuda_binding.h"
#include "native/binding/guard.h"
#include "native/binding/handles.h"
#include "native/binding/thread_options.h"
#include "native/binding/values.h"
#include "native/core/isa.h"
#include "native/core/model.h"

namespace air::binding {

namespace {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

TensorEntry read_tensor(const Napi::Value& value) {
  const Napi::Object object = get_object(value, "tensors[i]");
  TensorEntry entry;
  entry.role = get_string(object, "role");
  const std::string type = get_string(object, "type");
  if (!tensor_type_from_name(type, &entry.type)) {
    throw_status(value.Env(), {StatusCode::kUnsupported, "expected a supported tensor type for " +
                                                             entry.role + " but received \"" + type + "\""});
  }
  const Napi::Array shape = get_array(object, "shape");
  for (uint32_t i = 0; i < shape.Length(); ++i) {
    entry.shape.push_back(to_integer(shape.Get(i), "the shape of " + entry.role, 0, kMaxSafeInteger));
  }
  entry.file = get_integer(object, "file", 0, kMaxSafeInteger);
  entry.offset_bytes = get_integer(object, "offsetBytes", 0, kMaxSafeInteger);
  entry.length_bytes = get_integer(object, "lengthBytes", 0, kMaxSafeInteger);
  return entry;
}

TensorDirectory read_directory(const Napi::Value& value) {
  const Napi::Object object = get_object(value, "directory");
  TensorDirectory directory;
  const Napi::Array files = get_array(object, "files");
  for (uint32_t i = 0; i < files.Length(); ++i) {
    const Napi::Value path = files.Get(i);
    if (!path.IsString()) throw_argument(value.Env(), "paths", "files", path);
    directory.files.push_back(path.As<Napi::String>().Utf8Value());
  }
  const Napi::Array tensors = get_array(object, "tensors");
  for (uint32_t i = 0; i < tensors.Length(); ++i) directory.tensors.push_back(read_tensor(tensors.Get(i)));
  return directory;
}

// A value of the spec that names a variant; anything but `known` is a model that this build cannot compute.
void require_variant(const Napi::Object& object, const char* name, const char* known) {
  const std::string value = get_string(object, name);
  if (value != known) {
    throw_status(object.Env(), {StatusCode::kUnsupported, std::string("expected \"") + known + "\" for " +
                                                              name + " but received \"" + value + "\""});
  }
}

DecoderSpec read_spec(const Napi::Value& value) {
  const Napi::Object object = get_object(value, "spec");
  const auto size = [&object](const char* name) { return get_integer(object, name, 1, kMaxSafeInteger); };
  DecoderSpec spec;
  spec.layers = size("layers");
  spec.embedding_length = size("embeddingLength");
  spec.query_heads = size("queryHeads");
  spec.kv_heads = size("kvHeads");
  spec.head_dim = size("headDim");
  spec.feed_forward_length = size("feedForwardLength");
  spec.vocab_size = size("vocabSize");
  require_variant(object, "normKind", "rms");
  require_variant(object, "activation", "silu");
  spec.norm_epsilon = static_cast<float>(get_number(object, "normEpsilon"));
  const Napi::Object rope = get_object(object.Get("rope"), "spec.rope");
  const std::string pairing = get_string(rope, "pairing");
  if (pairing != "half") require_variant(rope, "pairing", "interleaved");
  spec.rope_pairing = pairing == "half" ? AIR_ROPE_HALF : AIR_ROPE_INTERLEAVED;
  spec.rope_dims = get_integer(rope, "dimensions", 0, kMaxSafeInteger);
  spec.rope_inverse_frequencies = get_doubles(rope, "inverseFrequencies");
  spec.rope_attention_factor = get_number(rope, "attentionFactor");
  spec.tied_output = object.Get("tiedOutput").ToBoolean().Value();
  return spec;
}

Pruning read_pruning(const Napi::Object& options) {
  Pruning pruning;
  const Napi::Value value = options.Get("pruning");
  if (value.IsUndefined()) return pruning;
  const Napi::Object object = get_object(value, "pruning");
  pruning.query_heads = get_bytes_or_empty(object, "queryHeads");
  pruning.channel_groups = get_bytes_or_empty(object, "channelGroups");
  return pruning;
}

// A loading in flight. It deletes itself on the JS thread, once the promise has settled or cannot settle.
class LoadTask {
 public:
  LoadTask(Napi::Env env, TensorDirectory directory, DecoderSpec spec, ThreadPlacement placement,
           LoadOptions options, int device)
      : env_(env),
        directory_(std::move(directory)),
        spec_(std::move(spec)),
        placement_(std::move(placement)),
        options_(std::move(options)),
        device_(device),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  static Napi::Promise start(std::unique_ptr<LoadTask> owned, const Napi::Value& on_progress) {
    LoadTask* task = owned.get();
    const Napi::Env env = task->env_;
    if (on_progress.IsFunction()) task->on_progress_ = Napi::Persistent(on_progress.As<Napi::Function>());
    task->calls_ = Napi::ThreadSafeFunction::New(
        env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "air-runtime load", 0, 1);
    const Napi::Promise promise = task->deferred_.Promise();
    const Status started = start_thread([task] { task->run(); }, &task->thread_);
    if (!started.ok()) {
      task->calls_.Release();
      throw_status(env, started);
    }
    (void)owned.release();
    napi_add_env_cleanup_hook(env, environment_teardown, task);
    return promise;
  }

 private:
  struct Progress {
    LoadTask* task;
    int64_t done_bytes, total_bytes;
  };

  void run() {
    options_.progress = [this](int64_t done_bytes, int64_t total_bytes) {
      const int64_t percent = total_bytes > 0 ? done_bytes * 100 / total_bytes : 100;
      if (percent != reported_percent_) {
        reported_percent_ = percent;
        auto* report = new Progress{this, done_bytes, total_bytes};
        if (calls_.BlockingCall(report, show_progress) != napi_ok) delete report;
      }
      return !cancelled_.load(std::memory_order_relaxed);
    };
    status_ = guarded("the model", [&] { return load(); });
    (void)calls_.BlockingCall(this, settle);
  }

  Status load() {
    AIR_RETURN_IF_ERROR(place_this_thread(placement_, 0));
    if (device_ < 0) return Model::load(directory_, spec_, options_, &loaded_.model);
    std::shared_ptr<const cuda::Kernels> kernels;
    AIR_RETURN_IF_ERROR(open_cuda_device(device_, &kernels));
    options_.upload = [&](const Model& model, ThreadPool& pool, MatrixSource& matrices) {
      return cuda::DeviceModel::create(kernels, model, options_.host_layers, pool, matrices, &loaded_.device);
    };
    return Model::load(directory_, spec_, options_, &loaded_.model);
  }

  static void show_progress(Napi::Env env, Napi::Function, Progress* owned) {
    const std::unique_ptr<Progress> report(owned);
    LoadTask& task = *report->task;
    if (task.on_progress_.IsEmpty() || task.progress_error_.has_value()) return;
    try {
      task.on_progress_.Call({Napi::Number::New(env, static_cast<double>(report->done_bytes)),
                              Napi::Number::New(env, static_cast<double>(report->total_bytes))});
    } catch (const Napi::Error& error) {
      task.progress_error_ = error;
      task.cancelled_.store(true, std::memory_order_relaxed);
    }
  }

  static void settle(Napi::Env env, Napi::Function, LoadTask* owned) {
    const std::unique_ptr<LoadTask> task(owned);
    task->join();
    napi_remove_env_cleanup_hook(env, environment_teardown, task.get());
    task->calls_.Release();
    if (task->progress_error_.has_value()) {
      task->deferred_.Reject(task->progress_error_->Value());
    } else if (task->status_.ok()) {
      task->deferred_.Resolve(ModelHandle::create(env, std::move(task->loaded_)));
    } else {
      task->deferred_.Reject(to_error(env, task->status_).Value());
    }
  }

  // Runs before the thread-safe function goes (reverse order of creation), which then drops what is queued.
  static void environment_teardown(void* data) {
    const std::unique_ptr<LoadTask> task(static_cast<LoadTask*>(data));
    task->cancelled_.store(true, std::memory_order_relaxed);
    task->join();
  }

  void join() {
    if (thread_.joinable()) thread_.join();
  }

  const Napi::Env env_;
  const TensorDirectory directory_;
  const DecoderSpec spec_;
  const ThreadPlacement placement_;
  LoadOptions options_;
  const int device_;  // of CUDA, or -1: the CPU
  const Napi::Promise::Deferred deferred_;
  Napi::FunctionReference on_progress_;
  Napi::ThreadSafeFunction calls_;
  std::thread thread_;
  std::atomic<bool> cancelled_{false};
  std::optional<Napi::Error> progress_error_;  // JS thread; what onProgress threw
  int64_t reported_percent_ = -1;              // loading thread
  Status status_;
  LoadedModel loaded_;
};

}  // namespace

Napi::Value load_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object options = get_object(info[2], "options");
  const std::string backend = get_string(options, "backend");
  if (backend != "cpu" && backend != "cuda")
    throw_argument(env, "\"cpu\" or \"cuda\"", "backend", options.Get("backend"));
  const int device =
      backend == "cuda" ? static_cast<int>(get_integer_or(options, "device", 0, kMaxDevice, 0)) : -1;
  ThreadPlan plan = read_thread_plan(options);
  plan.placement.is_pinned =
      false;  // packing's threads share the listed CPUs, as the loading thread's children
  LoadOptions load;
  load.threads = plan.threads;
  if (!options.Get("packCache").IsUndefined()) load.pack_cache = get_string(options, "packCache");
  load.pruning = read_pruning(options);
  const AirKernelTable* kernels = nullptr;
  throw_if_error(env, select_kernels(&kernels));
  DecoderSpec spec = read_spec(info[1]);
  if (device >= 0)
    load.host_layers = spec.layers - get_integer_or(options, "gpuLayers", 1, spec.layers, spec.layers);
  load.layout = device < 0 ? kernels->layout : AIR_LAYOUT_QUADS;  // which native/cuda/weights reads
  auto task = std::make_unique<LoadTask>(env, read_directory(info[0]), std::move(spec),
                                         std::move(plan.placement), std::move(load), device);
  return LoadTask::start(std::move(task), options.Get("onProgress"));
}

}  // namespace air::binding
