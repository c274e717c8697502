// Reading the flat objects of checked values that lib/ hands to the addon.
#ifndef ADDON_READ_FIELDS_H_
#define ADDON_READ_FIELDS_H_

#include <napi.h>

namespace addon {

// Sets the field and its presence bit, unless the property is undefined.
template <typename Field>
void ReadNumber(const Napi::Object& object, const char* name, uint32_t bit, Field* field, uint32_t* set) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return;
  *field = static_cast<Field>(value.As<Napi::Number>().DoubleValue());
  *set |= bit;
}

}  // namespace addon

#endif  // ADDON_READ_FIELDS_H_
