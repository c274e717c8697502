// What this process has from malloc and has not freed, in bytes, V8's heap not included: for the soak, whose resident memory moves
// with V8's heap and with what malloc keeps.
#include <malloc.h>
#include <node_api.h>

namespace {

napi_value MallocInUse(napi_env env, napi_callback_info /*info*/) {
  const struct mallinfo2 all = mallinfo2();
  napi_value bytes = nullptr;
  napi_create_double(env, static_cast<double>(all.uordblks + all.hblkhd), &bytes);
  return bytes;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "mallocInUse", NAPI_AUTO_LENGTH, MallocInUse, nullptr, &function);
  napi_set_named_property(env, exports, "mallocInUse", function);
  return exports;
}
