// Launches, the turns of a block's threads, and the block's barrier.
#include <algorithm>
#include <cstring>
#include <random>

#include "test/kernels/emulator/machine.h"
#include "test/kernels/emulator/memory.h"

namespace air::emulator {

namespace {

constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxSharedBytes = 163 * 1024;  // of a block on sm_80 and sm_87
constexpr uint32_t kMaxGridYZ = 65535;

void run_thread() {
  (*machine().body)();
  Thread& thread = *machine().current;
  bool copying = !thread.open_copies.empty();
  for (const auto& group : thread.copy_groups) copying = copying || !group.empty();
  if (copying) fail(Fault::kCopyInFlight, "exits while its copies are under way (no cp_async_wait<0>)");
  thread.state = State::kDone;
  ++machine().done;
  thread.fiber.leave();
}

// The block's threads stand still: says which of them wait for what.
void report_standstill() {
  Machine& m = machine();
  const Thread* at_barrier = nullptr;
  const Thread* at_step = nullptr;
  const Thread* done = nullptr;
  for (uint32_t i = 0; i < m.shape.threads; ++i) {
    const Thread& thread = m.thread(i);
    if (thread.state == State::kAtBarrier && at_barrier == nullptr) at_barrier = &thread;
    if (thread.state == State::kAtWarpStep && at_step == nullptr) at_step = &thread;
    if (thread.state == State::kDone && done == nullptr) done = &thread;
  }
  if (at_barrier != nullptr && at_step != nullptr) {
    record_fault(Fault::kDeadlock, at_step,
                 "waits for its warp at " + describe(at_step->site) + " while thread " +
                     std::to_string(at_barrier->id) + " waits for the block at " +
                     describe(at_barrier->site));
  } else if (at_step != nullptr) {
    record_fault(Fault::kDeadlock, at_step, "waits for its warp at " + describe(at_step->site) + " for ever");
  } else {
    record_fault(Fault::kDivergentBarrier, at_barrier,
                 "waits at the barrier of " + describe(at_barrier->site) + " but thread " +
                     std::to_string(done->id) + " has exited");
  }
}

void run_block(std::mt19937& random) {
  Machine& m = machine();
  const uint32_t count = m.shape.threads;
  std::vector<uint32_t> turns(count);
  for (uint32_t i = 0; i < count; ++i) turns[i] = m.order == Order::kBackward ? count - 1 - i : i;
  m.waiting = m.done = 0;
  for (uint32_t i = 0; i < count; ++i) {
    Thread& thread = m.thread(i);
    thread.id = i;
    thread.state = State::kReady;
    thread.step = nullptr;
    thread.warp_clock = WarpClock();
    thread.accesses = 0;
    thread.open_copies.clear();
    thread.copy_groups.clear();
    thread.fiber.prepare(run_thread);
  }
  begin_block_memory();
  while (m.done < count) {
    bool progress = false;
    if (m.order == Order::kShuffled) std::shuffle(turns.begin(), turns.end(), random);
    for (const uint32_t i : turns) {
      if (m.thread(i).state != State::kReady) continue;
      m.current = &m.thread(i);
      m.current->fiber.resume();
      m.current = nullptr;
      if (!m.result.ok()) return;
      progress = true;
    }
    if (!progress) return report_standstill();
  }
}

std::string shape_problem(const Shape& shape) {
  if (shape.threads == 0 || shape.threads > kMaxThreads)
    return std::to_string(shape.threads) + " threads in a block";
  if (shape.shared_bytes > kMaxSharedBytes)
    return std::to_string(shape.shared_bytes) + " bytes of shared memory";
  if (shape.grid_x == 0 || shape.grid_y == 0 || shape.grid_z == 0) return "an empty grid";
  if (shape.grid_y > kMaxGridYZ || shape.grid_z > kMaxGridYZ) return "more than 65535 blocks in y or z";
  return "";
}

}  // namespace

Machine& machine() {
  static Machine instance;
  return instance;
}

const char* fault_name(Fault fault) {
  static const char* const names[] = {"none",           "launch",         "deadlock",   "divergent barrier",
                                      "divergent warp", "out of bounds",  "misaligned", "uninitialised",
                                      "race",           "copy in flight", "endless",    "undefined"};
  return names[static_cast<int>(fault)];
}

bool same_site(const Site& a, const Site& b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

std::string describe(const Site& site) {
  std::string file = site.file;
  const size_t slash = file.rfind('/');
  if (slash != std::string::npos) file = file.substr(slash + 1);
  return file + ":" + std::to_string(site.line);
}

void record_fault(Fault fault, const Thread* thread, const std::string& what) {
  Machine& m = machine();
  if (!m.result.ok()) return;
  m.result.fault = fault;
  m.result.block_x = m.block_x;
  m.result.block_y = m.block_y;
  m.result.block_z = m.block_z;
  m.result.thread = thread == nullptr ? 0 : thread->id;
  m.result.message = std::string(m.kernel) + ", block (" + std::to_string(m.block_x) + ", " +
                     std::to_string(m.block_y) + ", " + std::to_string(m.block_z) + "), thread " +
                     std::to_string(m.result.thread) + ": " + fault_name(fault) + ": " + what;
}

void fail(Fault fault, const std::string& what) {
  Thread* thread = machine().current;
  record_fault(fault, thread, what);
  for (;;) thread->fiber.leave();  // the launch ends; nobody resumes this fiber
}

void wait_for_others(State state, const Site& site) {
  Thread& thread = *machine().current;
  thread.state = state;
  thread.site = site;
  thread.accesses = 0;
  thread.fiber.leave();
}

void sync_threads(Site site) {
  Machine& m = machine();
  if (m.waiting == 0) m.barrier = {site, m.current->id};
  if (!same_site(m.barrier.site, site)) {
    fail(Fault::kDivergentBarrier, "reaches the barrier of " + describe(site) + " while thread " +
                                       std::to_string(m.barrier.first) + " waits at that of " +
                                       describe(m.barrier.site));
  }
  if (++m.waiting < m.shape.threads) return wait_for_others(State::kAtBarrier, site);
  m.waiting = 0;
  for (uint32_t i = 0; i < m.shape.threads; ++i) {
    m.thread(i).state = State::kReady;
    m.thread(i).warp_clock = WarpClock();
  }
  m.current->accesses = 0;
  begin_interval();
}

uint32_t thread_id() { return machine().current->id; }
uint32_t block_threads() { return machine().shape.threads; }
uint32_t block_index(int dimension) {
  const Machine& m = machine();
  return dimension == 0 ? m.block_x : dimension == 1 ? m.block_y : m.block_z;
}
uint32_t grid_size(int dimension) {
  const Shape& shape = machine().shape;
  return dimension == 0 ? shape.grid_x : dimension == 1 ? shape.grid_y : shape.grid_z;
}

Result launch(const char* kernel, const Shape& shape, const std::function<void()>& body, Order order) {
  Machine& m = machine();
  m.kernel = kernel;
  m.shape = shape;
  m.body = &body;
  m.order = order;
  m.result = Result();
  const std::string problem = shape_problem(shape);
  if (!problem.empty()) {
    record_fault(Fault::kLaunch, nullptr, problem);
    return m.result;
  }
  while (m.threads.size() < shape.threads) m.threads.push_back(std::make_unique<Thread>());
  begin_launch_memory(shape.shared_bytes);
  std::mt19937 random(12345);
  const uint64_t blocks = static_cast<uint64_t>(shape.grid_x) * shape.grid_y * shape.grid_z;
  std::vector<uint64_t> turns(blocks);
  for (uint64_t i = 0; i < blocks; ++i) turns[i] = order == Order::kBackward ? blocks - 1 - i : i;
  if (order == Order::kShuffled) std::shuffle(turns.begin(), turns.end(), random);
  for (const uint64_t block : turns) {
    m.block_x = static_cast<uint32_t>(block % shape.grid_x);
    m.block_y = static_cast<uint32_t>(block / shape.grid_x % shape.grid_y);
    m.block_z = static_cast<uint32_t>(block / shape.grid_x / shape.grid_y);
    run_block(random);
    if (!m.result.ok()) break;
  }
  end_launch_memory(!m.result.ok());
  return m.result;
}

}  // namespace air::emulator
