// Failures as values: core and kernels never throw, abort or print; only core's containers may throw
// std::bad_alloc, which native/binding makes AIR_ERR_OUT_OF_MEMORY. native/binding turns a Status into a JS
// error whose code is the name below; lib/native/native.ts lists the same names (checked by a test).
#ifndef AIR_CORE_STATUS_H_
#define AIR_CORE_STATUS_H_

#include <string>
#include <utility>

namespace air {

enum class StatusCode {
  kOk = 0,
  kArgument,     // AIR_ERR_ARGUMENT       a value of the wrong kind or out of its range
  kShape,        // AIR_ERR_SHAPE          lengths that do not fit together
  kPageRange,    // AIR_ERR_PAGE_RANGE     a page, slot, length or row outside its bounds
  kBusy,         // AIR_ERR_BUSY           the handle is at work
  kClosed,       // AIR_ERR_CLOSED         the handle was closed
  kCancelled,    // AIR_ERR_CANCELLED      stopped on request
  kModelFormat,  // AIR_ERR_MODEL_FORMAT   the file contradicts itself or the spec
  kUnsupported,  // AIR_ERR_UNSUPPORTED    valid, but not implemented or not usable here
  kNoDevice,     // AIR_ERR_NO_DEVICE      no such compute device
  kDevice,       // AIR_ERR_DEVICE         the device failed while it worked
  kOutOfMemory,  // AIR_ERR_OUT_OF_MEMORY  an allocation was refused
  kIo,           // AIR_ERR_IO             the operating system refused a file
  kInternal,     // AIR_ERR_INTERNAL       a bug in air-runtime
};

// The code's name as JS sees it; never null.
const char* status_code_name(StatusCode code) noexcept;

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const noexcept { return code_ == StatusCode::kOk; }
  StatusCode code() const noexcept { return code_; }
  // "expected X for Y but received Z"
  const std::string& message() const noexcept { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// Evaluates an expression of type Status once and returns it from the enclosing function when it failed.
#define AIR_RETURN_IF_ERROR(expr)              \
  do {                                         \
    ::air::Status air_status_ = (expr);        \
    if (!air_status_.ok()) return air_status_; \
  } while (false)

}  // namespace air

#endif  // AIR_CORE_STATUS_H_
