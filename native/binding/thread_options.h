// The options that say which threads compute.
#ifndef AIR_BINDING_THREAD_OPTIONS_H_
#define AIR_BINDING_THREAD_OPTIONS_H_

#include <napi.h>

#include "native/core/thread_placement.h"

namespace air::binding {

// Reads threads, cpuList and priority, all optional, and fits them to this machine; throws AIR_ERR_ARGUMENT.
ThreadPlan read_thread_plan(const Napi::Object& options);

}  // namespace air::binding

#endif  // AIR_BINDING_THREAD_OPTIONS_H_
