#include "native/text/grapheme.h"

#include <string_view>
#include <utility>

#include "native/text/char_set.h"
#include "native/text/set_table.h"
#include "native/text/unicode.h"

namespace text {
namespace {

CharSet CategorySet(std::string_view name) { return *CharactersOf(name); }

// Marks that take room of their own, but do not begin a character.
const CharSet& OtherExtend() {
  static const CharSet set(
      {{0x9BE, 0x9BE},     {0x9D7, 0x9D7},     {0xB3E, 0xB3E},     {0xB57, 0xB57},     {0xBBE, 0xBBE},
       {0xBD7, 0xBD7},     {0xCC2, 0xCC2},     {0xCD5, 0xCD6},     {0xD3E, 0xD3E},     {0xD57, 0xD57},
       {0xDCF, 0xDCF},     {0xDDF, 0xDDF},     {0x1B35, 0x1B35},   {0x200C, 0x200C},   {0x302E, 0x302F},
       {0xFF9E, 0xFF9F},   {0x1133E, 0x1133E}, {0x11357, 0x11357}, {0x114B0, 0x114B0}, {0x114BD, 0x114BD},
       {0x115AF, 0x115AF}, {0x1D165, 0x1D165}, {0x1D16E, 0x1D172}, {0x1F3FB, 0x1F3FF}, {0xE0020, 0xE007F}});
  return set;
}

const SetTable& Extend() {
  static const SetTable table(CategorySet("Mn").Union(CategorySet("Me")).Union(OtherExtend()));
  return table;
}

const SetTable& Spacing() {
  static const CharSet not_spacing({{0x102B, 0x102C},
                                    {0x1038, 0x1038},
                                    {0x1062, 0x1064},
                                    {0x1067, 0x106D},
                                    {0x1083, 0x1083},
                                    {0x1087, 0x108C},
                                    {0x108F, 0x108F},
                                    {0x109A, 0x109C},
                                    {0x1A61, 0x1A61},
                                    {0x1A63, 0x1A64},
                                    {0xAA7B, 0xAA7B},
                                    {0xAA7D, 0xAA7D},
                                    {0x11720, 0x11721}});
  static const SetTable table(CategorySet("Mc")
                                  .Intersection(OtherExtend().Union(not_spacing).Complement())
                                  .Union(CharSet({{0xE33, 0xE33}, {0xEB3, 0xEB3}})));
  return table;
}

const CharSet& PrependSet() {
  static const CharSet set({{0x600, 0x605},
                            {0x6DD, 0x6DD},
                            {0x70F, 0x70F},
                            {0x890, 0x891},
                            {0x8E2, 0x8E2},
                            {0xD4E, 0xD4E},
                            {0x110BD, 0x110BD},
                            {0x110CD, 0x110CD},
                            {0x111C2, 0x111C3},
                            {0x1193F, 0x1193F},
                            {0x11941, 0x11941},
                            {0x11A3A, 0x11A3A},
                            {0x11A84, 0x11A89},
                            {0x11D46, 0x11D46},
                            {0x11F02, 0x11F02}});
  return set;
}

const SetTable& Control() {
  static const SetTable table(
      CategorySet("Cc")
          .Union(CategorySet("Zl"))
          .Union(CategorySet("Zp"))
          .Union(CategorySet("Cf"))
          .Union(
              CharSet({{0x2065, 0x2065}, {0xFFF0, 0xFFF8}, {0xE0000, 0xE0000}, {0xE0080, 0xE00FF}, {0xE01F0, 0xE0FFF}}))
          .Intersection(PrependSet().Union(CharSet({{0x200C, 0x200D}, {0xE0020, 0xE007F}})).Complement()));
  return table;
}

const SetTable& Prepend() {
  static const SetTable table(PrependSet());
  return table;
}

const SetTable& Pictographs() {
  static const SetTable table(*CharactersOf("Extended_Pictographic"));
  return table;
}

bool IsIn(char32_t code, char32_t first, char32_t last) { return code >= first && code <= last; }

}  // namespace

GraphemeReader::Kind GraphemeReader::KindOf(char32_t code) {
  if (code == '\r') return Kind::kCr;
  if (code == '\n') return Kind::kLf;
  if (code < 0x7F) return code < 0x20 ? Kind::kControl : Kind::kOther;
  if (code == 0x200D) return Kind::kJoiner;
  if (IsIn(code, 0x1F1E6, 0x1F1FF)) return Kind::kRegional;
  if (IsIn(code, 0xAC00, 0xD7A3)) return (code - 0xAC00) % 28 == 0 ? Kind::kLv : Kind::kLvt;
  if (IsIn(code, 0x1100, 0x115F) || IsIn(code, 0xA960, 0xA97C)) return Kind::kL;
  if (IsIn(code, 0x1160, 0x11A7) || IsIn(code, 0xD7B0, 0xD7C6)) return Kind::kV;
  if (IsIn(code, 0x11A8, 0x11FF) || IsIn(code, 0xD7CB, 0xD7FB)) return Kind::kT;
  if (Extend().Contains(code)) return Kind::kExtend;
  if (Control().Contains(code)) return Kind::kControl;
  if (Spacing().Contains(code)) return Kind::kSpacing;
  if (Prepend().Contains(code)) return Kind::kPrepend;
  if (Pictographs().Contains(code)) return Kind::kPictograph;
  return Kind::kOther;
}

bool GraphemeReader::Begins(char32_t code) {
  const Kind kind = KindOf(code), last = std::exchange(last_, kind);
  const auto is_control = [](Kind each) { return each == Kind::kCr || each == Kind::kLf || each == Kind::kControl; };
  const bool joins_pictograph = joins_pictograph_, is_flag_half = is_flag_half_;
  joins_pictograph_ = kind == Kind::kJoiner && is_pictograph_;
  is_pictograph_ = kind == Kind::kPictograph || (kind == Kind::kExtend && is_pictograph_);
  is_flag_half_ = kind == Kind::kRegional && !is_flag_half_;
  if (last == Kind::kNone) return true;
  if (last == Kind::kCr && kind == Kind::kLf) return false;
  if (is_control(last) || is_control(kind)) return true;
  if (kind == Kind::kExtend || kind == Kind::kJoiner || kind == Kind::kSpacing || last == Kind::kPrepend) return false;
  if (last == Kind::kL && (kind == Kind::kL || kind == Kind::kV || kind == Kind::kLv || kind == Kind::kLvt))
    return false;
  if ((last == Kind::kLv || last == Kind::kV) && (kind == Kind::kV || kind == Kind::kT)) return false;
  if ((last == Kind::kLvt || last == Kind::kT) && kind == Kind::kT) return false;
  if (kind == Kind::kPictograph && joins_pictograph) return false;
  return !(kind == Kind::kRegional && is_flag_half);
}

}  // namespace text
