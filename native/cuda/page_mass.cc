#include "native/cuda/page_mass.h"

namespace air::cuda {

namespace {

constexpr int64_t kAlignment = 256;
constexpr uint32_t kSharedBytes = kPageMassThreads * sizeof(float);

// A part of the memory that is being shared out.
struct Part {
  int64_t offset = 0;
  int64_t bytes = 0;
};

}  // namespace

Status PageMass::begin_step(const std::shared_ptr<Context>& context, const Batch& batch, const KvArena& arena,
                            const float* first_sums, Launcher& launcher) {
  const int64_t sequences = batch.sequence_count();
  cells_ = static_cast<int64_t>(batch.page_tables.size());
  const int64_t pages = cells_ / (arena.group_count() * sequences);
  const int64_t heads = arena.model()->spec().query_heads;
  int64_t used = 0;
  const auto take = [&used](int64_t count, int64_t size) {
    const Part part{used, count * size};
    used += (part.bytes + kAlignment - 1) / kAlignment * kAlignment;
    return part;
  };
  const Part counts = take(1 + sequences, sizeof(int32_t));
  const Part scores = take(heads * sequences * pages, sizeof(PartialStats));
  const Part mass = take(heads * cells_, sizeof(float));
  const Part out = take(cells_, sizeof(float));
  Stream& stream = launcher.stream();
  if (memory_.bytes() < used) {
    AIR_RETURN_IF_ERROR(stream.synchronize());
    AIR_RETURN_IF_ERROR(memory_.allocate(context, used, "attention of pages"));
  }
  counts_.assign(1, static_cast<int32_t>(sequences));
  for (int64_t s = 0; s < sequences; ++s)
    counts_.push_back(batch.sequence_starts[static_cast<size_t>(s + 1)] - 1);
  const auto at = [this](int64_t offset) { return memory_.address() + static_cast<DevicePointer>(offset); };
  AIR_RETURN_IF_ERROR(stream.to_device(at(counts.offset), counts_.data(), counts.bytes));
  AIR_RETURN_IF_ERROR(stream.fill(at(mass.offset), 0, mass.bytes));
  // As if they were of head 0: the result adds up all heads.
  if (first_sums != nullptr)
    AIR_RETURN_IF_ERROR(stream.to_device(at(mass.offset), first_sums, cells_ * int64_t{sizeof(float)}));
  const auto pointer = [&at](int64_t offset) { return static_cast<uintptr_t>(at(offset)); };
  params_ = {};
  params_.sequence_count = reinterpret_cast<const int32_t*>(pointer(counts.offset));
  params_.last_tokens = params_.sequence_count + 1;
  params_.sequences = static_cast<int32_t>(sequences);
  params_.groups = static_cast<int32_t>(arena.group_count());
  params_.table_pages = static_cast<int32_t>(pages);
  params_.mass_heads = static_cast<int32_t>(heads);
  params_.scores = reinterpret_cast<PartialStats*>(pointer(scores.offset));
  params_.mass = reinterpret_cast<float*>(pointer(mass.offset));
  params_.out = reinterpret_cast<float*>(pointer(out.offset));
  return {};
}

Status PageMass::add_layer(const AttentionParams& attention, Launcher& launcher) {
  params_.attention = attention;
  const LaunchShape shape{static_cast<uint32_t>(attention.query_heads),
                          static_cast<uint32_t>(params_.sequences), 1, kPageMassThreads, kSharedBytes};
  return launcher.launch("add_page_mass", shape, params_);
}

Status PageMass::write(float* out, Launcher& launcher) {
  const LaunchShape shape{static_cast<uint32_t>(params_.sequences), static_cast<uint32_t>(params_.groups), 1,
                          kPageMassThreads, kSharedBytes};
  AIR_RETURN_IF_ERROR(launcher.launch("finish_page_mass", shape, params_));
  return launcher.stream().to_host(out, reinterpret_cast<uintptr_t>(params_.out),
                                   cells_ * int64_t{sizeof(float)});
}

}  // namespace air::cuda
