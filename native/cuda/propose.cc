// Drafting on the device. Everything about the steps but their tokens is known beforehand: positions, slots and ranges
// grow by one, and sequences drop out when they have drafted as many as asked. So all steps are uploaded at once, and
// each takes its tokens from the one before. A draft that stops for want of confidence goes on to no effect: what it
// writes lies beyond the entries that count, and its tokens are left out here.
#include "native/core/propose.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "native/core/next_batch.h"
#include "native/cuda/runner.h"
#include "native/cuda/step_inputs.h"

namespace air::cuda {

namespace {

struct Drafted {
  int32_t token;
  float probability;
};

}  // namespace

Status CudaRunner::propose(const ProposeRequest& request, ProposeResult* result) try {
  AIR_RETURN_IF_ERROR(check_request(request, options().max_sequences));
  if (host_ != nullptr || request.batch.sequence_count() > activations_.logit_rows)
    return propose_by_steps(*this, request, &draft_logits_, result);
  AIR_RETURN_IF_ERROR(model().check_files());
  AIR_RETURN_IF_ERROR(context().usable());
  const Context::Scope scope(context());
  AIR_RETURN_IF_ERROR(scope.status());
  forget_variants();
  std::vector<Link> links;
  AIR_RETURN_IF_ERROR(plan_chain(request, &links));
  Status status = upload_chain(request, links);
  if (status.ok()) status = queue_chain(links);
  if (status.ok()) return read_chain(request, links, result);
  (void)launcher_.stream().synchronize();
  return status;
} catch (const std::bad_alloc&) {
  return {StatusCode::kOutOfMemory, "expected memory for drafting but the system refused it"};
}

Status CudaRunner::plan_chain(const ProposeRequest& request, std::vector<Link>* links) {
  const int32_t width = *std::max_element(request.counts.begin(), request.counts.end());
  const NextBatch next(request.batch, arena().group_count(), arena().layout().page_tokens);
  links->resize(static_cast<size_t>(width));
  int64_t block_offset = 0;
  int64_t table_offset = 0;
  for (int32_t step = 0; step < width; ++step) {
    Link& link = (*links)[static_cast<size_t>(step)];
    std::vector<Draft> drafts;
    for (size_t s = 0; s < request.counts.size(); ++s) {
      if (request.counts[s] <= step) continue;
      link.sequences.push_back(static_cast<int64_t>(s));
      drafts.push_back({static_cast<int64_t>(s), 0, 1});
    }
    if (step == 0) {
      link.batch = request.batch;
    } else if (!next.build(drafts, step, &link.batch)) {
      return {StatusCode::kPageRange,
              "expected pages for the drafted tokens too for pageTables but a table ends before"};
    }
    AIR_RETURN_IF_ERROR(
        check_batch(link.batch, arena(), options().max_tokens, options().max_sequences, &link.ranges));
    AIR_RETURN_IF_ERROR(prepare(link.batch, &link.variant));
    link.block_offset = block_offset;
    link.table_offset = table_offset;
    block_offset += link.variant->plan.layout.bytes;
    table_offset += static_cast<int64_t>(link.batch.page_tables.size());
  }
  return {};
}

Status CudaRunner::upload_chain(const ProposeRequest& request, const std::vector<Link>& links) {
  const std::shared_ptr<Context>& shared = device_->shared_context();
  const int64_t bytes = links.back().block_offset + links.back().variant->plan.layout.bytes;
  const int64_t sequences = request.batch.sequence_count();
  const auto drafted_bytes = static_cast<int64_t>(links.size()) * sequences * int64_t{sizeof(Drafted)};
  AIR_RETURN_IF_ERROR(reserve(&chain_, bytes, "the steps of a draft"));
  AIR_RETURN_IF_ERROR(reserve(&drafted_, drafted_bytes, "drafted tokens"));
  if (host_block_.bytes() < bytes)
    AIR_RETURN_IF_ERROR(host_block_.allocate(shared, chain_.bytes(), "the steps of a draft"));
  if (host_drafted_.bytes() < drafted_bytes)
    AIR_RETURN_IF_ERROR(host_drafted_.allocate(shared, drafted_.bytes(), "drafted tokens"));
  std::vector<const Batch*> batches;
  for (const Link& link : links) batches.push_back(&link.batch);
  AIR_RETURN_IF_ERROR(upload_tables(batches));
  const Link* before = nullptr;
  for (const Link& link : links) {
    std::vector<int32_t> sources;
    if (before != nullptr) {
      for (const int64_t sequence : link.sequences) {
        const auto found = std::find(before->sequences.begin(), before->sequences.end(), sequence);
        sources.push_back(static_cast<int32_t>(found - before->sequences.begin()));
      }
    }
    fill_step(link.variant->plan, {link.batch, link.ranges, sources, link.table_offset}, arena(),
              host_block_.data() + link.block_offset);
    before = &link;
  }
  return launcher_.stream().to_device(chain_.address(), host_block_.data(), bytes);
}

Status CudaRunner::queue_chain(const std::vector<Link>& links) {
  Stream& stream = launcher_.stream();
  DevicePointer to = drafted_.address();
  for (size_t step = 0; step < links.size(); ++step) {
    if (is_cancelled()) return {StatusCode::kCancelled, "the forward was cancelled"};
    const Link& link = links[step];
    const StepPlan& plan = link.variant->plan;
    AIR_RETURN_IF_ERROR(stream.on_device(block_.address(),
                                         chain_.address() + static_cast<DevicePointer>(link.block_offset),
                                         plan.layout.bytes));
    if (step > 0) AIR_RETURN_IF_ERROR(forward_.feed(plan, memory()));
    if (plan.kind.tokens <= kMaxGraphTokens) {
      AIR_RETURN_IF_ERROR(launch_graph(link.variant, true));
    } else {
      AIR_RETURN_IF_ERROR(forward_.layers(plan, memory(), hooks_for(link.batch, {})));
      AIR_RETURN_IF_ERROR(forward_.logits(0, plan.kind.rows));
      AIR_RETURN_IF_ERROR(forward_.peaks(plan, memory(), probabilities_.address()));
    }
    const auto rows = static_cast<int64_t>(link.sequences.size());
    for (const DevicePointer from : {activations_.drafted, probabilities_.address()}) {
      AIR_RETURN_IF_ERROR(stream.on_device(to, from, rows * int64_t{sizeof(int32_t)}));
      to += static_cast<DevicePointer>(rows * int64_t{sizeof(int32_t)});
    }
  }
  AIR_RETURN_IF_ERROR(stream.to_host(host_drafted_.data(), drafted_.address(),
                                     static_cast<int64_t>(to - drafted_.address())));
  return stream.synchronize();
}

Status CudaRunner::read_chain(const ProposeRequest& request, const std::vector<Link>& links,
                              ProposeResult* result) {
  const int64_t sequences = request.batch.sequence_count();
  result->width = static_cast<int64_t>(links.size());
  result->tokens.assign(static_cast<size_t>(sequences * result->width), -1);
  result->confidence.assign(static_cast<size_t>(sequences * result->width), 0.0F);
  std::vector<float> confidence(static_cast<size_t>(sequences), 1.0F);
  std::vector<bool> has_stopped(static_cast<size_t>(sequences), false);
  const uint8_t* at = host_drafted_.data();
  for (size_t step = 0; step < links.size(); ++step) {
    const size_t rows = links[step].sequences.size();
    for (size_t row = 0; row < rows; ++row) {
      const auto sequence = static_cast<size_t>(links[step].sequences[row]);
      Drafted drafted{};
      std::memcpy(&drafted.token, at + row * sizeof(int32_t), sizeof(int32_t));
      std::memcpy(&drafted.probability, at + (rows + row) * sizeof(float), sizeof(float));
      if (drafted.token < 0) has_stopped[sequence] = true;  // NaN: nothing to draft
      if (has_stopped[sequence]) continue;
      const size_t out = sequence * links.size() + step;
      result->tokens[out] = drafted.token;
      result->confidence[out] = drafted.probability;
      confidence[sequence] *= drafted.probability;
      has_stopped[sequence] = confidence[sequence] < request.min_confidence;
    }
    at += rows * (sizeof(int32_t) + sizeof(float));
  }
  return {};
}

}  // namespace air::cuda
