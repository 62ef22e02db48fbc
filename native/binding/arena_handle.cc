#include "native/binding/handles.h"

#include <limits>
#include <utility>

#include "native/binding/handle_support.h"

namespace air::binding {

namespace {

constexpr napi_type_tag kArenaTag = {0x2b7e151628aed2a6, 0x3c4fcf098815f7ab};

}  // namespace

Napi::Function ArenaHandle::define(Napi::Env env) {
  return DefineClass(
      env, "NativeKvArena",
      {InstanceAccessor<&ArenaHandle::page_tokens>("pageTokens"),
       InstanceAccessor<&ArenaHandle::head_groups>("headGroups"),
       InstanceAccessor<&ArenaHandle::bytes>("bytes"), InstanceMethod<&ArenaHandle::copy_pages>("copyPages"),
       InstanceMethod<&ArenaHandle::close>("close")});
}

ArenaHandle::ArenaHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kArenaTag);
}

ArenaHandle* ArenaHandle::Unwrap(const Napi::Value& value) {
  check_tag(value, kArenaTag, "arena");
  return ObjectWrap::Unwrap(value.As<Napi::Object>());
}

Napi::Object ArenaHandle::create(Napi::Env env, std::shared_ptr<KvArena> arena) {
  Napi::Object object = construct(env, "NativeKvArena");
  Unwrap(object)->shared_ = std::make_shared<SharedArena>(SharedArena{std::move(arena), 0});
  return object;
}

std::shared_ptr<SharedArena> ArenaHandle::require(const Napi::Value& value) {
  const auto* handle = Unwrap(value);
  handle->open(value.Env());
  return handle->shared_;
}

const KvArena& ArenaHandle::open(Napi::Env env) const {
  if (shared_ == nullptr) throw_closed(env, "arena");
  return *shared_->arena;
}

Napi::Value ArenaHandle::page_tokens(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).layout().page_tokens);
}

Napi::Value ArenaHandle::head_groups(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const KvArena::Group& group : open(info.Env()).groups()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("pageCount", number(env, group.page_count));
    entry.Set("bytesPerPage", number(env, group.page_bytes));
    list.Set(list.Length(), entry);
  }
  return list;
}

Napi::Value ArenaHandle::bytes(const Napi::CallbackInfo& info) {
  return number(info.Env(), open(info.Env()).bytes());
}

void ArenaHandle::copy_pages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  open(info.Env());
  const int64_t group = to_integer(info[0], "headGroup", 0, std::numeric_limits<int32_t>::max());
  // Copies, because another thread may write to shared memory between the check and the use.
  const std::vector<int32_t> src = to_int32s(info[1], "src");
  const std::vector<int32_t> dst = to_int32s(info[2], "dst");
  if (src.size() != dst.size()) {
    throw_status(env, {StatusCode::kShape, "expected as many entries as src (" + std::to_string(src.size()) +
                                               ") for dst but received " + std::to_string(dst.size())});
  }
  if (shared_->forwards_in_flight > 0) {
    throw_status(env, {StatusCode::kBusy, "expected an idle arena for copyPages but a forward is using it"});
  }
  throw_if_error(env,
                 shared_->arena->copy_pages(group, src.data(), dst.data(), static_cast<int64_t>(src.size())));
}

void ArenaHandle::close(const Napi::CallbackInfo&) { shared_.reset(); }

}  // namespace air::binding
