#include "native/text/pattern_matcher.h"

#include <algorithm>
#include <cstring>

namespace text {
namespace {

constexpr size_t kNowhere = SIZE_MAX;
constexpr size_t kMaxEntries = 1 << 20;  // 24 MB

unsigned LowestBit(uint64_t bits) { return static_cast<unsigned>(__builtin_ctzll(bits)); }

bool IsContinuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

}  // namespace

void PatternMatcher::OutOfSteps() {
  budget_->left = 0;
  throw StepLimitReached("The search for a pattern took too many steps.");
}

void PatternMatcher::Spend(uint64_t steps) {
  if (budget_->left < steps) OutOfSteps();
  budget_->left -= steps;
}

void PatternMatcher::Grow() {
  if (count_ == kMaxEntries) throw StepLimitReached("The search for a pattern took too much memory.");
  if (heap_.empty()) heap_.assign(inline_, inline_ + count_);
  heap_.resize(std::min(capacity_ * 4, kMaxEntries));
  entries_ = heap_.data();
  capacity_ = heap_.size();
}

size_t PatternMatcher::PreviousCharacter(size_t at) const {
  const size_t lowest = at > 4 ? at - 4 : 0;  // no character is longer
  do {
    --at;
  } while (at > lowest && IsContinuation(text_[at]));
  return at;
}

bool PatternMatcher::MayFollow(uint32_t first, size_t at) const {
  const FirstBytes& follow = program_.firsts[first];
  return at < text_.size() ? follow.Has(static_cast<uint8_t>(text_[at])) : follow.end;
}

bool PatternMatcher::IsWordAt(size_t at) const {
  return at < text_.size() && program_.sets[program_.word_set].Match(text_, at) > 0;
}
bool PatternMatcher::IsWordBefore(size_t at) const { return at > 0 && IsWordAt(PreviousCharacter(at)); }

bool PatternMatcher::HoldsAnchor(Anchor anchor, size_t at) const {
  switch (anchor) {
    case Anchor::kTextBegin:
      return at == 0;
    case Anchor::kTextEnd:
      return at == text_.size();
    case Anchor::kLastLineEnd:
      return at == text_.size() || (at + 1 == text_.size() && text_[at] == '\n');
    case Anchor::kLineBegin:  // not behind a newline that ends the text
      return at == 0 || (at < text_.size() && text_[at - 1] == '\n');
    case Anchor::kLineEnd:
      return at == text_.size() || text_[at] == '\n';
    case Anchor::kWordBoundary:
      return IsWordBefore(at) != IsWordAt(at);
    case Anchor::kNoWordBoundary:
      return IsWordBefore(at) == IsWordAt(at);
  }
  return false;
}

size_t PatternMatcher::Last(uint32_t pc) const {
  size_t i = count_;
  do {
    --i;
  } while (entries_[i].pc != pc || (entries_[i].kind != EntryKind::kMark && entries_[i].kind != EntryKind::kDenied));
  return i;
}

// Where the set of a loop ends, at most `wanted` characters on. `least` is where it has taken `min`; kNowhere if it has not.
size_t PatternMatcher::EndOfLoop(const Instruction& loop, uint32_t wanted, size_t begin, size_t* least) const {
  const SetTable& set = program_.sets[loop.a];
  const size_t end = text_.size();
  size_t place = begin;
  uint32_t taken = 0;
  *least = loop.min == 0 ? begin : kNowhere;
  while (taken < wanted && (taken < loop.min || wanted != kUnlimited)) {
    const size_t size = place < end ? set.Match(text_, place) : 0;
    if (size == 0) return place;
    place += size;
    if (++taken == loop.min) *least = place;
  }
  if (wanted != kUnlimited) return place;
  while (place < end) {  // the rest needs no counting
    if (set.OfFirstByte(static_cast<uint8_t>(text_[place])) == SetTable::Answer::kIn) {
      ++place;
      continue;
    }
    const size_t size = set.Match(text_, place);
    if (size == 0) break;
    place += size;
  }
  return place;
}

// Goes back until it is `taken` characters, and leaves a way to go on.
bool PatternMatcher::StepBack(const Instruction& behind, uint32_t pc, uint64_t taken, size_t* at) {
  while (taken < behind.min) {
    if (*at == 0) return false;
    *at = PreviousCharacter(*at);
    ++taken;
  }
  if (taken<behind.max&& * at> 0) Push({pc, EntryKind::kBehind, *at, taken});
  return true;
}

// To the last place where something is left to try.
bool PatternMatcher::GoBack(uint32_t* pc, size_t* at) {
  while (count_ > 0) {
    Spend(1);
    Entry& entry = entries_[count_ - 1];
    const Instruction& made_by = program_.code[entry.pc];
    switch (entry.kind) {
      case EntryKind::kResume:
        *pc = entry.pc;
        *at = entry.at;
        --count_;
        return true;
      case EntryKind::kChoice: {
        const Choice& choice = program_.choices[made_by.a];
        *pc = choice.targets[LowestBit(entry.more)];
        *at = entry.at;
        entry.more &= entry.more - 1;
        if (entry.more == 0) --count_;
        return true;
      }
      case EntryKind::kLoop: {
        const size_t from = entry.at;
        const size_t least = entry.more;
        size_t place = from;
        do {
          place = PreviousCharacter(place);
        } while (place > least && !MayFollow(made_by.b, place));
        Spend((from - place) / 4);
        *pc = entry.pc + 1;
        *at = place;
        entry.at = place;
        if (place <= least) --count_;
        if (place < least || !MayFollow(made_by.b, place)) break;
        return true;
      }
      case EntryKind::kLazyLoop: {
        const SetTable& set = program_.sets[made_by.a];
        const size_t from = entry.at;
        size_t place = from;
        bool may_follow = false;
        while (entry.more > 0 && place < text_.size() && !may_follow) {
          const size_t size = set.Match(text_, place);
          if (size == 0) {
            entry.more = 0;
            break;
          }
          place += size;
          --entry.more;
          may_follow = MayFollow(made_by.b, place);
        }
        Spend((place - from) / 4);
        *pc = entry.pc + 1;
        *at = place;
        entry.at = place;
        if (entry.more == 0 || place == text_.size()) --count_;
        if (!may_follow) break;
        return true;
      }
      case EntryKind::kBehind: {
        *at = PreviousCharacter(entry.at);
        *pc = entry.pc + 1;
        ++entry.more;
        entry.at = *at;
        if (entry.more == made_by.max || *at == 0) --count_;
        return true;
      }
      case EntryKind::kMark:
        --count_;
        break;
      case EntryKind::kDenied:
        *pc = made_by.b;
        *at = entry.at;
        --count_;
        return true;
    }
  }
  return false;
}

std::optional<size_t> PatternMatcher::Match(size_t begin) {
  count_ = 0;
  size_t at = begin;
  uint32_t pc = 0;
  uint64_t left = budget_->left;  // kept here, since counting in memory would take longer than most instructions
  const auto spend = [&](uint64_t steps) {
    if (left < steps) OutOfSteps();
    left -= steps;
  };
  const Instruction* const code = program_.code.data();
  const size_t end = text_.size();
  while (true) {
    spend(1);
    const Instruction& instruction = code[pc];
    // Each case goes on with `continue` where it matches, and leaves the switch where it does not.
    switch (instruction.op) {
      case Op::kMatch:
        budget_->left = left;
        return at;
      case Op::kByte:
        if (at == end || static_cast<uint8_t>(text_[at]) != instruction.a) break;
        ++at;
        ++pc;
        continue;
      case Op::kString:
        spend(instruction.b / 32);
        if (end - at < instruction.b ||
            std::memcmp(text_.data() + at, program_.strings.data() + instruction.a, instruction.b) != 0)
          break;
        at += instruction.b;
        ++pc;
        continue;
      case Op::kSet: {
        const size_t size = at < end ? program_.sets[instruction.a].Match(text_, at) : 0;
        if (size == 0) break;
        at += size;
        ++pc;
        continue;
      }
      case Op::kLoop: {
        const bool is_lazy = instruction.loop == LoopKind::kLazy;
        size_t least = at;
        const size_t place = EndOfLoop(instruction, is_lazy ? instruction.min : instruction.max, at, &least);
        spend((place - at) / 8);
        if (least == kNowhere) break;
        at = place;
        if (is_lazy) {
          const uint64_t more = instruction.max == kUnlimited ? UINT64_MAX : instruction.max - instruction.min;
          if (more > 0) Push({pc, EntryKind::kLazyLoop, at, more});
        } else if (instruction.loop == LoopKind::kGreedy && at > least) {
          Push({pc, EntryKind::kLoop, at, least});
        }
        ++pc;
        continue;
      }
      case Op::kSplit: {
        const bool may_next = MayFollow(instruction.c, at);
        const bool may_other = MayFollow(instruction.d, at);
        if (!may_next && !may_other) break;
        if (may_next && may_other) Push({instruction.b, EntryKind::kResume, at, 0});
        pc = may_next ? pc + 1 : instruction.b;
        continue;
      }
      case Op::kChoice: {
        const Choice& choice = program_.choices[instruction.a];
        const uint64_t possible = choice.possible[at < end ? static_cast<uint8_t>(text_[at]) : 256];
        if (possible == 0) break;
        const uint64_t others = possible & (possible - 1);
        if (others != 0) Push({pc, EntryKind::kChoice, at, others});
        pc = choice.targets[LowestBit(possible)];
        continue;
      }
      case Op::kJump:
        pc = instruction.b;
        continue;
      case Op::kAnchor:
        if (!HoldsAnchor(static_cast<Anchor>(instruction.a), at)) break;
        ++pc;
        continue;
      case Op::kSetAhead:
      case Op::kSetBehind: {
        const bool is_ahead = instruction.op == Op::kSetAhead;
        const bool has_one = is_ahead ? at < end : at > 0;
        const size_t place = is_ahead || !has_one ? at : PreviousCharacter(at);
        const bool is_in = has_one && program_.sets[instruction.a].Match(text_, place) > 0;
        if (is_in != (instruction.sense == Sense::kPositive)) break;
        ++pc;
        continue;
      }
      case Op::kLook:
        Push({pc, instruction.sense == Sense::kPositive ? EntryKind::kMark : EntryKind::kDenied, at, 0});
        ++pc;
        continue;
      case Op::kBehind:
        if (!StepBack(instruction, pc, 0, &at)) break;
        ++pc;
        continue;
      case Op::kLookEnd:
      case Op::kBehindEnd: {
        const size_t mark = Last(instruction.a);
        spend(count_ - mark);
        if (instruction.op == Op::kBehindEnd && at != entries_[mark].at) break;
        at = entries_[mark].at;
        count_ = mark;
        if (instruction.sense == Sense::kNegative) break;
        ++pc;
        continue;
      }
      case Op::kAtomic:
      case Op::kIteration:
        Push({pc, EntryKind::kMark, at, 0});
        ++pc;
        continue;
      case Op::kAtomicEnd: {
        const size_t mark = Last(instruction.a);
        spend(count_ - mark);
        count_ = mark;
        ++pc;
        continue;
      }
      case Op::kIterationEnd: {
        const size_t mark = Last(instruction.a);
        spend(count_ - mark);
        pc = entries_[mark].at == at ? instruction.b : pc + 1;
        continue;
      }
    }
    budget_->left = left;
    if (!GoBack(&pc, &at)) return std::nullopt;
    left = budget_->left;
  }
}

std::optional<Pattern::Match> PatternMatcher::Find(size_t from) {
  const bool starts_with_loop = program_.code[0].op == Op::kLoop && program_.code[0].max == kUnlimited;
  for (size_t begin = from; begin <= text_.size();) {
    size_t place = begin;
    while (place < text_.size() && !program_.first.Has(static_cast<uint8_t>(text_[place]))) ++place;
    Spend((place - begin) / 8 + 1);
    begin = place;
    if (begin == text_.size() && !program_.first.end) break;
    if (program_.at_begin_only && begin > 0) break;
    if (const std::optional<size_t> end = Match(begin)) return Pattern::Match{begin, *end};
    size_t next = begin + (begin < text_.size() ? CharacterAt(text_, begin).size : 1);
    if (starts_with_loop) {
      // From inside of what the loop could take, it would only come to places from which the rest did not match.
      size_t least = 0;
      next = std::max(next, EndOfLoop(program_.code[0], kUnlimited, begin, &least));
      Spend((next - begin) / 8);
    }
    begin = next;
  }
  return std::nullopt;
}

}  // namespace text
