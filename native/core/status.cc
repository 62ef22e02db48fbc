#include "native/core/status.h"

namespace air {

const char* status_code_name(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::kOk:
      return "AIR_OK";
    case StatusCode::kArgument:
      return "AIR_ERR_ARGUMENT";
    case StatusCode::kShape:
      return "AIR_ERR_SHAPE";
    case StatusCode::kPageRange:
      return "AIR_ERR_PAGE_RANGE";
    case StatusCode::kBusy:
      return "AIR_ERR_BUSY";
    case StatusCode::kClosed:
      return "AIR_ERR_CLOSED";
    case StatusCode::kCancelled:
      return "AIR_ERR_CANCELLED";
    case StatusCode::kModelFormat:
      return "AIR_ERR_MODEL_FORMAT";
    case StatusCode::kUnsupported:
      return "AIR_ERR_UNSUPPORTED";
    case StatusCode::kNoDevice:
      return "AIR_ERR_NO_DEVICE";
    case StatusCode::kDevice:
      return "AIR_ERR_DEVICE";
    case StatusCode::kOutOfMemory:
      return "AIR_ERR_OUT_OF_MEMORY";
    case StatusCode::kIo:
      return "AIR_ERR_IO";
    case StatusCode::kInternal:
      return "AIR_ERR_INTERNAL";
  }
  return "AIR_ERR_INTERNAL";  // a value that is no enumerator
}

}  // namespace air
