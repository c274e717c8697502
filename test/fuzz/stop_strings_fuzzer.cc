// However a text is cut into calls, StopMatcher finds what a search of the whole text finds, and holds back neither more
// nor less than could still become a stop string.
#include "native/text/stop_strings.h"

#include <optional>
#include <string>

#include "fuzz.h"
#include "input.h"
#include "plain_stop_strings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  fuzz::Strings strings(&input);
  const std::vector<std::string> stops = strings.Stops(8);
  const text::StopStrings stop_strings(stops);
  text::StopMatcher matcher(stop_strings);

  std::string text;
  while (input.remaining_bytes() > 0 && text.size() < 256) {
    const std::string piece = strings.Bytes(16);
    const size_t before = text.size();
    text += piece;
    const auto match = matcher.Scan(piece);
    const auto expected = fuzz::PlainFind(text, stops);
    fuzz::Require(match.has_value() == expected.has_value(), "Scan finds a stop string where there is one");
    if (match) {
      fuzz::Require(match->index == expected->index, "Scan finds the first, longest stop string");
      fuzz::Require(before + match->end == expected->end && match->size == expected->size, "Scan says where it is");
      return 0;
    }
    fuzz::Require(matcher.held() == fuzz::PlainHeld(text, stops), "held() is what may become a stop string");
  }
  return 0;
}
