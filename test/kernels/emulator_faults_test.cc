// The emulator must see every rule that a kernel breaks: right kernels pass in any order of threads and blocks, and
// each planted fault is reported as what it is.
#include <string>
#include <vector>

#include "test/kernels/probes/faults.h"
#include "test/kernels/support/device_array.h"
#include "test/native/check.h"

using air::cuda::LaunchShape;
using air::emulator::Fault;
using air::emulator::Order;
using air::emulator::Result;
using air_test::DeviceArray;

namespace {

const char* const kReason = "a device does not check";
constexpr Order kOrders[] = {Order::kForward, Order::kBackward, Order::kShuffled};

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

LaunchShape shape_of(uint32_t blocks, uint32_t threads, uint32_t shared_bytes) {
  LaunchShape shape;
  shape.grid_x = blocks;
  shape.threads = threads;
  shape.shared_bytes = shared_bytes;
  return shape;
}

Result exchange(int32_t plant, Order order, std::vector<float>* out = nullptr) {
  DeviceArray<float> in("in", counting(64));
  DeviceArray<float> result("out", 64);
  const Result launched =
      LAUNCH_IN_ORDER(order, probe_exchange, shape_of(1, 64, 256), in.data(), result.data(), plant);
  if (out != nullptr) *out = result.download();
  return launched;
}

Result warp_sum(int32_t plant, Order order, std::vector<float>* out = nullptr, uint32_t threads = 64) {
  DeviceArray<float> in("in", counting(64));
  DeviceArray<float> result("out", 64);
  const Result launched =
      LAUNCH_IN_ORDER(order, probe_warp_sum, shape_of(1, threads, 256), in.data(), result.data(), plant);
  if (out != nullptr) *out = result.download();
  return launched;
}

Result last_block(int32_t plant, Order order, std::vector<float>* out = nullptr) {
  DeviceArray<float> in("in", counting(5 * 32));
  DeviceArray<float> partials("partials", 5);
  DeviceArray<uint32_t> counter("counter", std::vector<uint32_t>{0}, air_test::WritableArray<uint32_t>());
  DeviceArray<float> result("out", 1);
  const Result launched = LAUNCH_IN_ORDER(order, probe_last_block, shape_of(5, 32, 16), in.data(),
                                          partials.data(), counter.data(), result.data(), plant);
  if (out != nullptr) *out = result.download();
  return launched;
}

Result pipeline(int32_t plant, Order order, std::vector<float>* out = nullptr) {
  DeviceArray<float> in("in", counting(5 * 64 * 4));
  DeviceArray<float> result("out", 5 * 64 * 4);
  const Result launched = LAUNCH_IN_ORDER(order, probe_pipeline, shape_of(1, 64, 2 * 64 * 16), in.data(),
                                          result.data(), 5, plant);
  if (out != nullptr) *out = result.download();
  return launched;
}

Result addresses(int32_t plant, Order order) {
  DeviceArray<float> in("in", counting(64 * 4));
  DeviceArray<float> result("out", 64 * 4);
  return LAUNCH_IN_ORDER(order, probe_addresses, shape_of(1, 64, 64 * 16), in.data(), result.data(), plant);
}

struct Planted {
  const char* name;
  Result (*run)(int32_t plant, Order order);
  probe::Plant plant;
  Fault fault;
  Fault in_other_orders = Fault::kNone;  // what the same mistake may show as first
};

Result run_exchange(int32_t plant, Order order) { return exchange(plant, order); }
Result run_warp_sum(int32_t plant, Order order) { return warp_sum(plant, order); }
Result run_part_of_warp(int32_t plant, Order order) { return warp_sum(plant, order, nullptr, 40); }
Result run_last_block(int32_t plant, Order order) { return last_block(plant, order); }
Result run_pipeline(int32_t plant, Order order) { return pipeline(plant, order); }

const Planted kPlanted[] = {
    {"a barrier that half of the block meets", run_exchange, probe::kBarrierInBranch,
     Fault::kDivergentBarrier},
    {"two barriers for two warps", run_exchange, probe::kTwoBarriers, Fault::kDivergentBarrier},
    {"an exit before the barrier", run_exchange, probe::kExitBeforeBarrier, Fault::kDivergentBarrier},
    {"one lane at the warp, the rest at the block", run_exchange, probe::kWarpAgainstBlock, Fault::kDeadlock},
    {"a lane that exited", run_warp_sum, probe::kLaneExited, Fault::kDivergentWarp},
    {"a lane at another instruction", run_warp_sum, probe::kOtherInstruction, Fault::kDivergentWarp},
    {"lanes with other masks", run_warp_sum, probe::kOtherMask, Fault::kDivergentWarp},
    {"a lane without itself in the mask", run_warp_sum, probe::kNotInOwnMask, Fault::kDivergentWarp},
    {"a value of a lane outside of the mask", run_warp_sum, probe::kSourceOutsideMask, Fault::kDivergentWarp},
    {"lanes that the block lacks", run_part_of_warp, probe::kLaneMissingInBlock, Fault::kDivergentWarp},
    {"a read past the end", addresses, probe::kReadPastEnd, Fault::kOutOfBounds},
    {"a read before the begin", addresses, probe::kReadBeforeBegin, Fault::kOutOfBounds},
    {"a write to what is read-only", addresses, probe::kWriteReadOnly, Fault::kOutOfBounds},
    {"a write to nowhere", addresses, probe::kWriteUnregistered, Fault::kOutOfBounds},
    {"a write past shared memory", addresses, probe::kSharedPastEnd, Fault::kOutOfBounds},
    {"a matrix row in global memory", addresses, probe::kMatrixRowInGlobal, Fault::kOutOfBounds},
    {"a matrix row past shared memory", addresses, probe::kMatrixRowPastEnd, Fault::kOutOfBounds},
    {"a copy past the end", addresses, probe::kCopyPastEnd, Fault::kOutOfBounds},
    {"a misaligned vector", addresses, probe::kVectorMisaligned, Fault::kMisaligned},
    {"a misaligned word", addresses, probe::kWordMisaligned, Fault::kMisaligned},
    {"a misaligned copy", addresses, probe::kCopyMisaligned, Fault::kMisaligned},
    {"a misaligned matrix row", addresses, probe::kMatrixRowMisaligned, Fault::kMisaligned},
    {"shared memory that nobody wrote", run_exchange, probe::kSharedUninitialised, Fault::kUninitialised},
    {"global memory that nobody wrote", addresses, probe::kGlobalUninitialised, Fault::kUninitialised},
    {"no barrier between a write and a read", run_exchange, probe::kNoBarrier, Fault::kRace,
     Fault::kUninitialised},
    {"no barrier between a read and a write", run_exchange, probe::kNoBarrierBeforeRewrite, Fault::kRace},
    {"no sync_warp", run_warp_sum, probe::kNoWarpSync, Fault::kRace, Fault::kUninitialised},
    {"a sync_warp of half the lanes", run_warp_sum, probe::kPartialWarpSync, Fault::kRace,
     Fault::kUninitialised},
    {"blocks that write one place", run_last_block, probe::kBlocksWriteOne, Fault::kRace},
    {"a last block without fences", run_last_block, probe::kNoFence, Fault::kRace},
    {"a last block without atomics", run_last_block, probe::kNoAtomic, Fault::kRace, Fault::kUninitialised},
    {"no wait for a copy", run_pipeline, probe::kNoWait, Fault::kCopyInFlight},
    {"a wait that leaves one copy too many", run_pipeline, probe::kWaitForTooFew, Fault::kCopyInFlight},
    {"copies that are in no group", run_pipeline, probe::kNoCommit, Fault::kCopyInFlight},
    {"a write under a copy", run_pipeline, probe::kWriteDuringCopy, Fault::kCopyInFlight},
    {"no barrier after the wait", run_pipeline, probe::kNoBarrierAfterWait, Fault::kRace,
     Fault::kUninitialised},
    {"a stage refilled while it is read", run_pipeline, probe::kRefillWhileRead, Fault::kRace,
     Fault::kCopyInFlight},
    {"an array index", addresses, probe::kArrayIndex, Fault::kUndefined},
    {"a shift by too much", addresses, probe::kShift, Fault::kUndefined},
};

}  // namespace

TEST(right_kernels_pass_in_every_order) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  for (const Order order : kOrders) {
    std::vector<float> out;
    const auto check = [&](const Result& result) { CHECK_MSG(result.ok(), result.message); };
    check(exchange(probe::kNothing, order, &out));
    for (size_t i = 0; i < 64; ++i) CHECK_EQ(out[i], static_cast<float>(i ^ 1) + 1.0f);
    check(warp_sum(probe::kNothing, order, &out));
    for (size_t i = 0; i < 64; ++i) CHECK_EQ(out[i], i < 32 ? 496.0f : 1520.0f);
    check(last_block(probe::kNothing, order, &out));
    CHECK_EQ(out[0], 159.0f * 80.0f);
    check(pipeline(probe::kNothing, order, &out));
    for (size_t i = 0; i < out.size(); ++i) CHECK_EQ(out[i], static_cast<float>(i) + 1.0f);
    check(addresses(probe::kNothing, order));
  }
}

// Whether a fault is seen must not depend on the order in which the emulator happens to run the threads.
TEST(every_planted_fault_is_caught_in_every_order) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  for (const Planted& planted : kPlanted) {
    for (const Order order : kOrders) {
      const Result result = planted.run(planted.plant, order);
      const bool is_other = !result.ok() && result.fault == planted.in_other_orders;
      CHECK_MSG(result.fault == planted.fault || is_other, std::string(planted.name) + ": expected " +
                                                               fault_name(planted.fault) +
                                                               " but received \"" + result.message + "\"");
    }
  }
}

TEST(a_fault_names_kernel_block_thread_and_place) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  const Result past = addresses(probe::kReadPastEnd, Order::kForward);
  CHECK_EQ(past.message,
           "probe_addresses, block (0, 0, 0), thread 3: out of bounds: reads 4 bytes at in + 1024 (of 1024 "
           "bytes)");
  CHECK_EQ(past.thread, 3U);
  const Result before = addresses(probe::kReadBeforeBegin, Order::kForward);
  CHECK_MSG(before.message.find("reads 4 bytes at in - 4") != std::string::npos, before.message);
  const Result divergent = exchange(probe::kTwoBarriers, Order::kForward);
  CHECK_MSG(divergent.message.find("faults.cu:") != std::string::npos, divergent.message);
  const Result rewrite = exchange(probe::kNoBarrierBeforeRewrite, Order::kForward);
  CHECK_MSG(
      rewrite.message.find("thread 1: race: reads shared memory + 0 (of 256 bytes), which thread 0 wrote "
                           "with no barrier between") != std::string::npos,
      rewrite.message);
  const Result partial = last_block(probe::kNoFence, Order::kForward);
  CHECK_MSG(partial.message.find("block (4, 0, 0)") != std::string::npos, partial.message);
}

TEST(an_endless_loop_is_stopped) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  DeviceArray<float> in("in", counting(4));
  DeviceArray<float> out("out", 4);
  const Result result = LAUNCH(probe_addresses, shape_of(1, 1, 16), in.data(), out.data(),
                               static_cast<int32_t>(probe::kEndlessLoop));
  CHECK_EQ(fault_name(result.fault), std::string("endless"));
}

TEST(launches_that_no_device_takes_are_refused) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  DeviceArray<float> in("in", counting(64));
  DeviceArray<float> out("out", 64);
  const auto fault_of = [&](const LaunchShape& shape) {
    return LAUNCH(probe_exchange, shape, in.data(), out.data(), 0).fault;
  };
  CHECK(fault_of(shape_of(0, 64, 256)) == Fault::kLaunch);
  CHECK(fault_of(shape_of(1, 0, 256)) == Fault::kLaunch);
  CHECK(fault_of(shape_of(1, 1056, 256)) == Fault::kLaunch);
  CHECK(fault_of(shape_of(1, 64, 163 * 1024 + 1)) == Fault::kLaunch);
  LaunchShape tall = shape_of(1, 64, 256);
  tall.grid_y = 65536;
  CHECK(fault_of(tall) == Fault::kLaunch);
  CHECK(fault_of(shape_of(1, 64, 256)) == Fault::kNone);
}

TEST(arrays_that_are_gone_may_not_be_touched) {
  if (air_test::gpu::skips_on_device(kReason)) return;
  DeviceArray<float> out("out", 64);
  const float* gone;
  {
    DeviceArray<float> in("in", counting(64));
    gone = in.data();
  }
  const Result result = LAUNCH(probe_exchange, shape_of(1, 64, 256), gone, out.data(), 0);
  CHECK_EQ(fault_name(result.fault), std::string("out of bounds"));
}
