#include "native/cuda/module.h"

#include <chrono>
#include <utility>

namespace air::cuda {

namespace {

// Refusals of an image, not failures of the device: another image may be taken.
bool is_refusal(Result result) {
  switch (result) {
    case kErrorInvalidImage:
    case kErrorNoBinaryForGpu:
    case kErrorInvalidPtx:
    case kErrorJitCompilerNotFound:
    case kErrorUnsupportedPtxVersion:
    case kErrorJitCompilationDisabled:
    case kErrorInvalidSource:
      return true;
    default:
      return false;
  }
}

}  // namespace

Status Kernels::load(std::shared_ptr<Context> context, const std::vector<KernelImage>& images,
                     std::shared_ptr<const Kernels>* kernels) {
  if (images.empty()) {
    return {StatusCode::kNoDevice,
            "expected a build with CUDA kernels for the device but this one was made without nvcc"};
  }
  const auto start = std::chrono::steady_clock::now();
  auto loaded = std::shared_ptr<Kernels>(new Kernels(std::move(context)));
  {
    const Context::Scope scope(loaded->context());
    AIR_RETURN_IF_ERROR(scope.status());
    for (const KernelImage& image : images) AIR_RETURN_IF_ERROR(loaded->load_image(image));
  }
  ModuleReport& report = loaded->report_;
  report.image = loaded->from_ptx_ == 0                                           ? "sass"
                 : loaded->from_ptx_ == static_cast<int>(loaded->modules_.size()) ? "ptx"
                                                                                  : "mixed";
  report.load_micros =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  *kernels = std::move(loaded);
  return {};
}

Status Kernels::load_image(const KernelImage& image) {
  const std::string purpose = std::string("the kernels of ") + image.name;
  const Driver& driver = context_->driver();
  ModuleHandle module = nullptr;
  Result result = driver.module_load(&module, image.fatbin, 0, nullptr, nullptr);
  if (is_refusal(result)) {
    const Status refused = driver.check(result, "module_load", purpose + " (SASS)");
    if (report_.sass_refused.empty()) report_.sass_refused = refused.message();
    char log[1024] = {};
    JitOption options[] = {JitOption::kErrorLogBuffer, JitOption::kErrorLogBufferBytes};
    void* values[] = {log, reinterpret_cast<void*>(sizeof(log) - 1)};
    result = driver.module_load(&module, image.ptx, 2, options, values);
    const Status compiled = context_->check(result, "module_load", purpose + " (PTX)");
    if (!compiled.ok()) {
      return {compiled.code(), compiled.message() + (log[0] == '\0' ? "" : std::string("; ") + log) +
                                   ", after: " + refused.message()};
    }
    ++from_ptx_;
  } else {
    AIR_RETURN_IF_ERROR(context_->check(result, "module_load", purpose));
  }
  modules_.push_back(module);
  return {};
}

Kernels::~Kernels() {
  const Context::Scope scope(*context_);
  for (const ModuleHandle module : modules_) (void)context_->driver().module_unload(module);
}

Status Kernels::find(const char* name, int64_t shared_bytes, FunctionHandle* function) const {
  const Context::Scope scope(*context_);
  AIR_RETURN_IF_ERROR(scope.status());
  for (const ModuleHandle module : modules_) {
    const Result result = context_->driver().module_function(function, module, name);
    if (result == kErrorNotFound) continue;
    AIR_RETURN_IF_ERROR(context_->check(result, "module_function", std::string("the kernel ") + name));
    // 48 KiB need no permission.
    if (shared_bytes <= 48 * 1024) return {};
    return AIR_CUDA_TRY(*context_, function_set_attribute, std::string("the kernel ") + name, *function,
                        FunctionAttribute::kMaxDynamicSharedBytes, static_cast<int>(shared_bytes));
  }
  return {StatusCode::kInternal,
          std::string("expected a kernel named ") + name + " but the modules have none"};
}

}  // namespace air::cuda
