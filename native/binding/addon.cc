// The addon's export list. lib/native/native.ts describes the surface; lib/native/wrap.ts completes it.
#include <napi.h>

#include <utility>

#include "native/binding/bandwidth_binding.h"
#include "native/binding/cuda_binding.h"
#include "native/binding/guard.h"
#include "native/binding/handles.h"
#include "native/binding/load_model.h"
#include "native/binding/row_ops_binding.h"
#include "native/binding/thread_options.h"
#include "native/binding/values.h"
#include "native/core/cpu_runner.h"
#include "native/core/cpu_topology.h"
#include "native/core/isa.h"
#include "native/cuda/device_pages.h"
#include "native/cuda/runner.h"

namespace air::binding {

namespace {

constexpr int kAbiVersion = 6;  // mirrored in lib/native/load.ts
constexpr int64_t kMaxTokens = int64_t{1} << 20;
constexpr int64_t kMaxPages = int64_t{1} << 31;

Napi::Value capabilities(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const AirKernelTable* active = nullptr;
  throw_if_error(env, select_kernels(&active));
  Napi::Array isas = Napi::Array::New(env);
  for (const AirKernelTable* table : usable_kernels())
    isas.Set(isas.Length(), Napi::String::New(env, table->isa));
  Napi::Object result = Napi::Object::New(env);
  result.Set("abiVersion", Napi::Number::New(env, kAbiVersion));
  result.Set("isas", isas);
  result.Set("activeIsa", Napi::String::New(env, active->isa));
  const CpuTopology topology = this_cpu_topology();
  result.Set("cpus", Napi::Number::New(env, topology.usable_count()));
  result.Set("defaultThreads", Napi::Number::New(env, topology.default_threads()));
  return result;
}

AirKvType get_kv_type(const Napi::Object& options, const char* name) {
  const std::string type = get_string(options, name);
  if (type == "int8") return AIR_KV_INT8;
  if (type == "f16") return AIR_KV_F16;
  if (type == "int4") return AIR_KV_INT4;
  throw_argument(options.Env(), "\"int8\", \"f16\" or \"int4\"", name, options.Get(name));
}

Napi::Value create_arena(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object object = get_object(info[1], "options");
  ArenaOptions options;
  options.head_mask = get_bytes(object, "headMask");
  options.page_tokens = get_integer(object, "pageTokens", 1, kMaxTokens);
  const Napi::Array counts = get_array(object, "pageCounts");
  for (uint32_t i = 0; i < counts.Length(); ++i) {
    options.page_counts.push_back(to_integer(counts.Get(i), "pageCounts", 0, kMaxPages));
  }
  options.key_type = get_kv_type(object, "keyType");
  options.value_type = get_kv_type(object, "valueType");
  options.rotate_keys = get_boolean_or(object, "rotateKeys", false);
  // Last: the getters of `options` are the caller's code and may have closed the model.
  const LoadedModel loaded = ModelHandle::require(info[0]);
  std::shared_ptr<KvArena> arena;
  throw_if_error(env, guarded("KV pages", [&] {
                   if (loaded.device == nullptr) return KvArena::create(loaded.model, options, &arena);
                   return KvArena::create(loaded.model, options, loaded.device->first_layer(),
                                          cuda::device_page_maker(loaded.device->shared_context()), &arena);
                 }));
  return ArenaHandle::create(env, std::move(arena));
}

Status create_cpu_runner(const std::shared_ptr<KvArena>& arena, const RunnerOptions& options,
                         std::unique_ptr<Runner>* runner) {
  const AirKernelTable* kernels = nullptr;
  AIR_RETURN_IF_ERROR(select_kernels(&kernels));
  return CpuRunner::create(*kernels, arena, options, runner);
}

// Layers that the device has not got are computed on the CPU.
Status create_cuda_runner(const LoadedModel& loaded, const std::shared_ptr<KvArena>& arena,
                          const RunnerOptions& options, std::unique_ptr<Runner>* runner) {
  const AirKernelTable* kernels = nullptr;
  if (loaded.device->first_layer() > 0) AIR_RETURN_IF_ERROR(select_kernels(loaded.model->layout(), &kernels));
  return cuda::CudaRunner::create(loaded.device, kernels, arena, options, runner);
}

Napi::Value create_runner(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object object = get_object(info[2], "options");
  RunnerOptions options;
  options.max_tokens = get_integer(object, "maxTokens", 1, kMaxTokens);
  options.max_sequences = get_integer_or(object, "maxSequences", 1, kMaxTokens, options.max_tokens);
  ThreadPlan plan = read_thread_plan(object);
  options.threads = plan.threads;
  options.placement = std::move(plan.placement);
  // Last: the getters of `options` are the caller's code and may have closed either.
  const LoadedModel loaded = ModelHandle::require(info[0]);
  const std::shared_ptr<SharedArena> arena = ArenaHandle::require(info[1]);
  if (arena->arena->model() != loaded.model) {
    throw_status(
        env, {StatusCode::kArgument, "expected an arena made for this model but received another model's"});
  }
  std::unique_ptr<Runner> runner;
  throw_if_error(env, guarded("activations", [&] {
                   return loaded.device == nullptr
                              ? create_cpu_runner(arena->arena, options, &runner)
                              : create_cuda_runner(loaded, arena->arena, options, &runner);
                 }));
  return RunnerHandle::create(env, std::move(runner), arena);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* constructors = new Napi::ObjectReference(Napi::Persistent(Napi::Object::New(env)));
  constructors->Value().Set("NativeModel", ModelHandle::define(env));
  constructors->Value().Set("NativeKvArena", ArenaHandle::define(env));
  constructors->Value().Set("NativeRunner", RunnerHandle::define(env));
  env.SetInstanceData(constructors);
  exports.Set("capabilities", Napi::Function::New(env, capabilities, "capabilities"));
  exports.Set("loadModel", Napi::Function::New(env, load_model, "loadModel"));
  exports.Set("createArena", Napi::Function::New(env, create_arena, "createArena"));
  exports.Set("createRunner", Napi::Function::New(env, create_runner, "createRunner"));
  exports.Set("measureReadBandwidth", Napi::Function::New(env, measure_bandwidth, "measureReadBandwidth"));
  exports.Set("measureDeviceBandwidth",
              Napi::Function::New(env, measure_device_bandwidth, "measureDeviceBandwidth"));
  exports.Set("listCudaDevices", Napi::Function::New(env, list_cuda_devices, "listCudaDevices"));
  exports.Set("probeCudaDevice", Napi::Function::New(env, probe_cuda_device, "probeCudaDevice"));
  define_row_ops(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(air_runtime, initialize)

}  // namespace air::binding
