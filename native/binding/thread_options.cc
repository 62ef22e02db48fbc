#include "native/binding/thread_options.h"

#include <limits>
#include <string>

#include "native/binding/values.h"

namespace air::binding {

namespace {

ThreadPriority to_priority(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (value.IsUndefined() || name == "normal") return ThreadPriority::kNormal;
  if (name == "low") return ThreadPriority::kLow;
  if (name == "high") return ThreadPriority::kHigh;
  throw_argument(value.Env(), "\"low\", \"normal\" or \"high\"", "priority", value);
}

}  // namespace

ThreadPlan read_thread_plan(const Napi::Object& options) {
  ThreadRequest request;
  request.threads = static_cast<int>(get_integer_or(options, "threads", 1, kMaxThreads, 0));
  if (!options.Get("cpuList").IsUndefined()) {
    const Napi::Array list = get_array(options, "cpuList");
    for (uint32_t i = 0; i < list.Length(); ++i) {
      request.cpu_list.push_back(
          static_cast<int>(to_integer(list.Get(i), "cpuList", 0, std::numeric_limits<int>::max())));
    }
  }
  request.priority = to_priority(options.Get("priority"));
  ThreadPlan plan;
  throw_if_error(options.Env(), plan_threads(request, this_cpu_topology(), &plan));
  return plan;
}

}  // namespace air::binding
