// Instructions that the lanes of a warp execute together: each waits until all lanes of its mask have come.
#include <algorithm>
#include <array>

#include "test/kernels/emulator/machine.h"
#include "test/kernels/emulator/matrix.h"

namespace air::emulator {

namespace {

constexpr uint32_t kWarp = 32;

struct Warp {
  uint32_t first;  // id of its lane 0

  bool has(uint32_t lane) const { return first + lane < machine().shape.threads; }
  Thread& lane(uint32_t lane) const { return machine().thread(first + lane); }
};

std::string lane_name(uint32_t lane) { return "lane " + std::to_string(lane); }

// Fails when the step can never be completed, or not by what its lanes are at. True when all lanes are there.
bool all_lanes_came(const Warp& warp, uint32_t self, const WarpStep& step) {
  if ((step.mask >> self & 1) == 0) {
    fail(Fault::kDivergentWarp, "is not in the mask of its own instruction at " + describe(step.site));
  }
  bool complete = true;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((step.mask >> lane & 1) == 0 || lane == self) continue;
    if (!warp.has(lane)) {
      fail(Fault::kDivergentWarp,
           "names " + lane_name(lane) + " at " + describe(step.site) + ", which the block does not have");
    }
    const Thread& other = warp.lane(lane);
    if (other.state == State::kDone) {
      fail(Fault::kDivergentWarp,
           "names " + lane_name(lane) + " at " + describe(step.site) + ", which has exited");
    }
    if (other.state != State::kAtWarpStep) {
      complete = false;
      continue;
    }
    const WarpStep& theirs = *other.step;
    if (theirs.op == step.op && theirs.mask == step.mask && same_site(theirs.site, step.site)) continue;
    complete = false;
    // A lane that does not wait for this one will go on and may still come.
    if ((theirs.mask >> self & 1) == 0) continue;
    fail(Fault::kDivergentWarp, "names " + lane_name(lane) + " at " + describe(step.site) +
                                    ", which is at another instruction or mask at " + describe(theirs.site));
  }
  return complete;
}

// Every lane learns what each of them knew, and of each what it did so far.
void join_clocks(const std::array<WarpStep*, kWarp>& lanes, const Warp& warp) {
  WarpClock joined;
  for (uint32_t i = 0; i < kWarp; ++i) {
    if (lanes[i] == nullptr) continue;
    const WarpClock& clock = warp.lane(i).warp_clock;
    joined.now = std::max(joined.now, clock.now + 1);
    for (uint32_t l = 0; l < kWarp; ++l) joined.known[l] = std::max(joined.known[l], clock.known[l]);
    joined.known[i] = std::max(joined.known[i], clock.now + 1);
  }
  for (uint32_t i = 0; i < kWarp; ++i)
    if (lanes[i] != nullptr) warp.lane(i).warp_clock = joined;
}

void perform(const std::array<WarpStep*, kWarp>& lanes, uint32_t mask, const Warp& warp) {
  const WarpStep& any = *lanes[static_cast<size_t>(__builtin_ctz(mask))];
  switch (any.op) {
    case WarpOp::kSync:
      return join_clocks(lanes, warp);
    case WarpOp::kShuffle:
      for (WarpStep* step : lanes) {
        if (step == nullptr) continue;
        if (lanes[step->source] == nullptr) {
          fail(Fault::kDivergentWarp,
               "takes the value of " + lane_name(step->source) + ", which is not in the mask");
        }
        step->result = lanes[step->source]->bits;
      }
      return;
    case WarpOp::kVote: {
      uint64_t ballot = 0;
      for (uint32_t i = 0; i < kWarp; ++i)
        if (lanes[i] != nullptr) ballot |= lanes[i]->bits << i;
      for (WarpStep* step : lanes)
        if (step != nullptr) step->result = ballot;
      return;
    }
    case WarpOp::kLoadMatrix:
      return load_matrices(lanes.data());
    case WarpOp::kMultiplyHalf:
      return multiply_half(lanes.data());
    case WarpOp::kMultiplyInt8:
      return multiply_int8(lanes.data());
  }
}

}  // namespace

void run_warp_step(WarpStep* step) {
  Thread& thread = *machine().current;
  const uint32_t self = thread.id % kWarp;
  const Warp warp{thread.id - self};
  thread.step = step;
  if (!all_lanes_came(warp, self, *step)) return wait_for_others(State::kAtWarpStep, step->site);
  std::array<WarpStep*, kWarp> lanes = {};
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((step->mask >> lane & 1) != 0) lanes[lane] = warp.lane(lane).step;
  }
  perform(lanes, step->mask, warp);
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if (lanes[lane] != nullptr) warp.lane(lane).state = State::kReady;
  }
}

}  // namespace air::emulator
