// What the config and a request both have.
#ifndef ADDON_SHARED_GROUPS_H_
#define ADDON_SHARED_GROUPS_H_

#include "native/addon/field_reader.h"

namespace addon {

inline ExecutorLookahead ReadLookahead(const FieldReader& fields) {
  ExecutorLookahead lookahead{};
  fields.Number("window", &lookahead.window);
  fields.Number("ngram", &lookahead.ngram);
  fields.Number("verificationSet", &lookahead.verification_set);
  return lookahead;
}

inline ExecutorEagle ReadEagle(const FieldReader& fields) {
  ExecutorEagle eagle{};
  eagle.size = sizeof(eagle);
  fields.TokenLists("choices", &eagle.choices);
  fields.Number("greedy", EAGLE_GREEDY, &eagle.greedy, &eagle.set);
  fields.Number("posteriorThreshold", EAGLE_POSTERIOR_THRESHOLD, &eagle.posterior_threshold, &eagle.set);
  fields.Number("dynamicTree", EAGLE_DYNAMIC_TREE, &eagle.dynamic_tree, &eagle.set);
  fields.Number("dynamicTreeTopK", EAGLE_DYNAMIC_TREE_TOP_K, &eagle.dynamic_tree_top_k, &eagle.set);
  return eagle;
}

}  // namespace addon

#endif  // ADDON_SHARED_GROUPS_H_
