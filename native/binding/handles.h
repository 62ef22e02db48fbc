// The JS objects that hold native state. A handle's close() lets go of its state; what depends on it keeps it
// alive through shared pointers, so that closing in any order is safe.
//
// Each class hides ObjectWrap's Unwrap, also from node-addon-api's own calls, with one that throws
// AIR_ERR_ARGUMENT for a handle of another kind instead of reading its memory as ours. Node-API binds methods
// to their class, but not accessors: taken off the prototype, they can be called on anything.
#ifndef AIR_BINDING_HANDLES_H_
#define AIR_BINDING_HANDLES_H_

#include <napi.h>

#include <memory>
#include <vector>

#include "native/binding/engine_thread.h"
#include "native/core/kv_arena.h"
#include "native/core/model.h"
#include "native/cuda/device_model.h"

namespace air::binding {

// A model, and its weights on a device if that is where they are.
struct LoadedModel {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const cuda::DeviceModel> device;
};

class ModelHandle : public Napi::ObjectWrap<ModelHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object create(Napi::Env env, LoadedModel loaded);
  // The model of a JS value; throws AIR_ERR_ARGUMENT or AIR_ERR_CLOSED.
  static LoadedModel require(const Napi::Value& value);

  explicit ModelHandle(const Napi::CallbackInfo& info);
  static ModelHandle* Unwrap(const Napi::Value& value);

 private:
  Napi::Value weight_bytes(const Napi::CallbackInfo& info);
  Napi::Value mapped_bytes(const Napi::CallbackInfo& info);
  Napi::Value conversions(const Napi::CallbackInfo& info);
  Napi::Value pack_cache(const Napi::CallbackInfo& info);
  Napi::Value backend(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value column_squares(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  const Model& open(Napi::Env env) const;

  LoadedModel loaded_;
};

// The arena, and how many forwards use it now.
struct SharedArena {
  std::shared_ptr<KvArena> arena;
  int forwards_in_flight = 0;  // JS thread only
};

class ArenaHandle : public Napi::ObjectWrap<ArenaHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object create(Napi::Env env, std::shared_ptr<KvArena> arena);
  static std::shared_ptr<SharedArena> require(const Napi::Value& value);

  explicit ArenaHandle(const Napi::CallbackInfo& info);
  static ArenaHandle* Unwrap(const Napi::Value& value);

 private:
  Napi::Value page_tokens(const Napi::CallbackInfo& info);
  Napi::Value head_groups(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  void copy_pages(const Napi::CallbackInfo& info);
  void read_pages(const Napi::CallbackInfo& info);
  void write_pages(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  const KvArena& open(Napi::Env env) const;
  // The arena, when no forward uses it. After all that reads JS values, as RunnerHandle::idle().
  KvArena& idle(Napi::Env env, const char* what) const;

  std::shared_ptr<SharedArena> shared_;
};

class RunnerHandle : public Napi::ObjectWrap<RunnerHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object create(Napi::Env env, std::unique_ptr<Runner> runner,
                             std::shared_ptr<SharedArena> arena);

  explicit RunnerHandle(const Napi::CallbackInfo& info);
  static RunnerHandle* Unwrap(const Napi::Value& value);

 private:
  struct Step {
    Batch batch;
    StepOutput output;
    Napi::Array arrays;  // the typed arrays that output points into
  };

  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value workspace_bytes(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value forward_sync(const Napi::CallbackInfo& info);
  Napi::Value propose(const Napi::CallbackInfo& info);
  void limit_threads(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  EngineThread& open(Napi::Env env) const;
  // The engine, when no work is in flight. After all that reads JS values: getters are the caller's code and may
  // have closed or started the runner.
  EngineThread& idle(Napi::Env env) const;
  Step read_step(const Napi::CallbackInfo& info, bool needs_shared_output) const;
  Napi::Promise submit(Napi::Env env, EngineThread::Work work);

  std::shared_ptr<EngineThread> engine_;
  std::shared_ptr<SharedArena> arena_;
};

}  // namespace air::binding

#endif  // AIR_BINDING_HANDLES_H_
