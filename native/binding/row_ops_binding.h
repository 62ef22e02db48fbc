// The row maths of native/core/row_ops.h as JS functions.
#ifndef AIR_BINDING_ROW_OPS_BINDING_H_
#define AIR_BINDING_ROW_OPS_BINDING_H_

#include <napi.h>

namespace air::binding {

// Adds softmaxRows, argmaxRows, topKRow, sampleRow, logSumExpRow and residualRow.
void define_row_ops(Napi::Env env, Napi::Object exports);

}  // namespace air::binding

#endif  // AIR_BINDING_ROW_OPS_BINDING_H_
