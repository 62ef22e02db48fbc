#include "test/native/fake_cuda/machine.h"

#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "native/cuda/driver.h"
#include "test/kernels/emulator/emulator.h"

namespace fake {

namespace {

constexpr size_t kAlignment = 256;  // cuMemAlloc's
constexpr int kGarbage = 0xa5;      // new memory is not zero

thread_local std::vector<air::cuda::ContextHandle> current_contexts;

}  // namespace

bool is_fatal(Result result) { return result >= 700 && result <= 719 && result != 701; }

Machine& Machine::get() {
  static Machine machine;
  return machine;
}

void Machine::reset() {
  clear_objects();
  contexts_.clear();
  settings_.clear();
  failures_.clear();
  calls_.clear();
  problem.clear();
  const char* text = std::getenv("AIR_FAKE_CUDA");
  std::istringstream list(text == nullptr ? "" : text);
  for (std::string item; std::getline(list, item, ',');) {
    const size_t equals = item.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = item.substr(0, equals);
    const std::string value = item.substr(equals + 1);
    if (name != "fail") {
      settings_[name] = std::atoll(value.c_str());
      continue;
    }
    const size_t last = value.rfind(':');
    const size_t middle = value.rfind(':', last - 1);
    failures_[value.substr(0, middle)] = {std::atoi(value.c_str() + middle + 1),
                                          std::atoi(value.c_str() + last + 1)};
  }
}

void Machine::clear_objects() {
  streams.clear();
  events.clear();
  modules.clear();
  graphs.clear();
  executables.clear();
  functions.clear();
  for (const auto& [address, allocation] : device_memory_)
    air::emulator::release_buffer(allocation.memory.get());
  device_memory_.clear();
  host_memory_.clear();
}

int64_t Machine::setting(const std::string& name, int64_t fallback) const {
  const auto found = settings_.find(name);
  return found == settings_.end() ? fallback : found->second;
}

Result Machine::enter(const std::string& function) {
  ++calls_[function];
  const auto found = failures_.find(function);
  if (found == failures_.end() || --found->second.nth > 0) return air::cuda::kSuccess;
  const Result result = found->second.result;
  failures_.erase(found);
  if (is_fatal(result) && !current_contexts.empty()) current_contexts.back()->lost = result;
  return result;
}

Result Machine::enter_context(const std::string& function) {
  if (const Result injected = enter(function); injected != air::cuda::kSuccess) return injected;
  if (current_contexts.empty()) return air::cuda::kErrorInvalidContext;
  return current_contexts.back()->lost;
}

int64_t Machine::calls(const std::string& function) const {
  const auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

int64_t Machine::live(const std::string& kind) const {
  const std::map<std::string, size_t> counts = {
      {"memory", device_memory_.size()}, {"host_memory", host_memory_.size()},
      {"stream", streams.size()},        {"event", events.size()},
      {"module", modules.size()},        {"graph", graphs.size() + executables.size()},
      {"context", contexts_.size()}};
  if (kind == "bytes") return static_cast<int64_t>(device_bytes());
  if (kind != "all") return static_cast<int64_t>(counts.at(kind));
  size_t sum = 0;
  for (const auto& [name, count] : counts) sum += count;
  return static_cast<int64_t>(sum);
}

Result Machine::run_kernel(const Kernel& kernel, const Launch& launch) {
  for (const std::string& name : {std::string("kernel"), "kernel:" + kernel.name}) {
    if (const Result injected = enter(name); injected != air::cuda::kSuccess) return injected;
  }
  const std::string found = emulate(kernel, launch);
  if (found.empty()) return air::cuda::kSuccess;
  problem = found;
  return air::cuda::kErrorIllegalAddress;
}

Result Machine::enqueue(air::cuda::StreamObject* stream, Work work) {
  if (!has(streams, stream)) return air::cuda::kErrorInvalidHandle;
  if (stream->capture != nullptr) {
    stream->capture->work.push_back(std::move(work));
  } else {
    stream->pending.push_back(std::move(work));
    ++stream->queued;
  }
  return air::cuda::kSuccess;
}

Result Machine::finish(air::cuda::StreamObject* stream, int64_t position) {
  while (stream->done < position && !stream->pending.empty()) {
    const Work work = std::move(stream->pending.front());
    stream->pending.pop_front();
    ++stream->done;
    air::cuda::ContextObject& context = *current_contexts.back();
    if (context.lost != air::cuda::kSuccess) continue;  // nothing is done any more
    context.lost = work();
  }
  return current_contexts.back()->lost;
}

Result Machine::finish_all() {
  for (const auto& stream : streams) (void)finish(stream.get(), stream->queued);
  return current_contexts.back()->lost;
}

void Machine::retain(air::cuda::Device device, air::cuda::ContextHandle* context) {
  auto& owned = contexts_[device];
  if (owned == nullptr) owned = std::make_unique<air::cuda::ContextObject>();
  owned->device = device;
  ++owned->references;
  *context = owned.get();
}

Result Machine::release(air::cuda::Device device) {
  const auto found = contexts_.find(device);
  if (found == contexts_.end()) return air::cuda::kErrorInvalidContext;
  if (--found->second->references > 0) return air::cuda::kSuccess;
  // What nobody freed goes with a lost context only: otherwise it stays, for tests to see.
  if (found->second->lost != air::cuda::kSuccess) clear_objects();
  contexts_.erase(found);
  return air::cuda::kSuccess;
}

Result Machine::push(air::cuda::ContextHandle context) {
  for (const auto& [device, owned] : contexts_) {
    if (owned.get() != context) continue;
    current_contexts.push_back(context);
    return air::cuda::kSuccess;
  }
  return air::cuda::kErrorInvalidContext;
}

Result Machine::pop(air::cuda::ContextHandle* context) {
  if (current_contexts.empty()) return air::cuda::kErrorInvalidContext;
  *context = current_contexts.back();
  current_contexts.pop_back();
  return air::cuda::kSuccess;
}

Result Machine::allocate(bool is_device, size_t bytes, void** pointer) {
  if (bytes == 0) return air::cuda::kErrorInvalidValue;
  const auto capacity = static_cast<size_t>(setting("memory", int64_t{8} << 30));
  if (is_device && (bytes > capacity || device_bytes() > capacity - bytes))
    return air::cuda::kErrorOutOfMemory;
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  Block memory(static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded)), std::free);
  if (memory == nullptr) return air::cuda::kErrorOutOfMemory;
  // Large ones stay untouched: tests make arenas that they hardly use.
  if (bytes <= (size_t{64} << 20)) std::memset(memory.get(), kGarbage, rounded);
  *pointer = memory.get();
  auto& all = is_device ? device_memory_ : host_memory_;
  const uint8_t* address = memory.get();
  if (is_device) air::emulator::add_buffer("device memory", memory.get(), bytes, true, true);
  all.emplace(address, Allocation{std::move(memory), bytes});
  return air::cuda::kSuccess;
}

Result Machine::free(bool is_device, void* pointer) {
  const Result finished = finish_all();  // the driver waits too
  if (finished != air::cuda::kSuccess) return finished;
  auto& all = is_device ? device_memory_ : host_memory_;
  if (is_device && all.count(static_cast<const uint8_t*>(pointer)) == 1)
    air::emulator::release_buffer(pointer);
  return all.erase(static_cast<const uint8_t*>(pointer)) == 1 ? air::cuda::kSuccess
                                                              : air::cuda::kErrorInvalidValue;
}

bool Machine::holds(bool is_device, const void* pointer, size_t bytes) const {
  const auto& all = allocations(is_device);
  const auto* at = static_cast<const uint8_t*>(pointer);
  auto after = all.upper_bound(at);
  if (after == all.begin()) return false;
  --after;
  const auto offset = static_cast<size_t>(at - after->first);
  return offset <= after->second.bytes && bytes <= after->second.bytes - offset;
}

size_t Machine::device_bytes() const {
  size_t sum = 0;
  for (const auto& [address, allocation] : device_memory_) sum += allocation.bytes;
  return sum;
}

}  // namespace fake
