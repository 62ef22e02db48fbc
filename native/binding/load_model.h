// loadModel: reads the directory and the spec, loads on a thread of its own, reports progress.
#ifndef AIR_BINDING_LOAD_MODEL_H_
#define AIR_BINDING_LOAD_MODEL_H_

#include <napi.h>

namespace air::binding {

// (directory, spec, options) -> Promise<NativeModel>
Napi::Value load_model(const Napi::CallbackInfo& info);

}  // namespace air::binding

#endif  // AIR_BINDING_LOAD_MODEL_H_
