// What may throw outside of a call from JS, where nobody would catch it, as a Status.
#ifndef AIR_BINDING_GUARD_H_
#define AIR_BINDING_GUARD_H_

#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "native/core/status.h"

namespace air::binding {

// Returns call(), a Status. Core's containers throw std::bad_alloc; anything else is a bug.
template <typename Call>
Status guarded(const char* purpose, const Call& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return {StatusCode::kOutOfMemory,
            std::string("expected memory for ") + purpose + " but the system refused it"};
  } catch (const std::exception& error) {
    return {StatusCode::kInternal,
            std::string("expected no exception for ") + purpose + " but received: " + error.what()};
  }
}

template <typename Body>
Status start_thread(Body body, std::thread* thread) {
  try {
    *thread = std::thread(std::move(body));
    return {};
  } catch (const std::system_error& error) {
    return {StatusCode::kOutOfMemory,
            std::string("expected the system to start a thread but it refused: ") + error.what()};
  }
}

}  // namespace air::binding

#endif  // AIR_BINDING_GUARD_H_
