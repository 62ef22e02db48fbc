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
       InstanceMethod<&ArenaHandle::read_pages>("readPages"),
       InstanceMethod<&ArenaHandle::write_pages>("writePages"),
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

KvArena& ArenaHandle::idle(Napi::Env env, const char* what) const {
  open(env);
  if (shared_->forwards_in_flight > 0) {
    throw_status(env, {StatusCode::kBusy,
                       std::string("expected an idle arena for ") + what + " but a forward is using it"});
  }
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
  throw_if_error(
      env,
      idle(env, "copyPages").copy_pages(group, src.data(), dst.data(), static_cast<int64_t>(src.size())));
}

void ArenaHandle::read_pages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  open(env);
  const int64_t group = to_integer(info[0], "headGroup", 0, std::numeric_limits<int32_t>::max());
  const std::vector<int32_t> pages = to_int32s(info[1], "pages");
  const Bytes out = get_byte_view(info[2], "out");
  throw_if_error(
      env, idle(env, "readPages")
               .read_pages(group, pages.data(), static_cast<int64_t>(pages.size()), out.data, out.length));
}

void ArenaHandle::write_pages(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  open(env);
  const int64_t group = to_integer(info[0], "headGroup", 0, std::numeric_limits<int32_t>::max());
  const std::vector<int32_t> pages = to_int32s(info[1], "pages");
  const Bytes bytes = get_byte_view(info[2], "bytes");
  throw_if_error(env, idle(env, "writePages")
                          .write_pages(group, pages.data(), static_cast<int64_t>(pages.size()), bytes.data,
                                       bytes.length));
}

void ArenaHandle::close(const Napi::CallbackInfo&) { shared_.reset(); }

}  // namespace air::binding
