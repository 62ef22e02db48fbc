// measureReadBandwidth and measureDeviceBandwidth: native/core/bandwidth.h and native/cuda/bandwidth.h on a thread of
// their own.
#ifndef AIR_BINDING_BANDWIDTH_BINDING_H_
#define AIR_BINDING_BANDWIDTH_BINDING_H_

#include <napi.h>

namespace air::binding {

// (threads) -> Promise<number>
Napi::Value measure_bandwidth(const Napi::CallbackInfo& info);

// (device, bytes) -> Promise<number>
Napi::Value measure_device_bandwidth(const Napi::CallbackInfo& info);

}  // namespace air::binding

#endif  // AIR_BINDING_BANDWIDTH_BINDING_H_
