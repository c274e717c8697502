// A request with lists of tokens.
#ifndef TEST_EMBEDDED_ASKED_REQUEST_H_
#define TEST_EMBEDDED_ASKED_REQUEST_H_

#include <cstdint>
#include <vector>

#include "table_client.h"

namespace embedded {

// Lists of tokens as a request has them.
struct AskedLists {
  ExecutorTokenLists Wire() {
    offsets.assign(1, 0);
    flat.clear();
    for (const auto& list : lists) {
      flat.insert(flat.end(), list.begin(), list.end());
      offsets.push_back(static_cast<uint32_t>(flat.size()));
    }
    return {flat.data(), offsets.data(), static_cast<uint32_t>(lists.size())};
  }

  std::vector<std::vector<int32_t>> lists;

 private:
  std::vector<int32_t> flat;
  std::vector<uint32_t> offsets;
};

// A TestRequest with the lists that it only points to.
struct AskedRequest : TestRequest {
  using TestRequest::TestRequest;

  // Points there; called when the lists and the request itself stay where they are.
  AskedRequest& Wire() {
    request.bad_tokens = bad_tokens.Wire();
    request.stop_tokens = stop_tokens.Wire();
    request.logit_bias = {bias_tokens.data(), bias_values.data(), static_cast<uint32_t>(bias_tokens.size())};
    return *this;
  }

  std::vector<int32_t> bias_tokens;
  std::vector<float> bias_values;
  AskedLists bad_tokens, stop_tokens;
};

}  // namespace embedded

#endif  // TEST_EMBEDDED_ASKED_REQUEST_H_
