#include "native/tensorrt_llm/ids.h"

#include <gtest/gtest.h>

namespace adapter {
namespace {

Pending Request(uint64_t id, uint32_t sequences = 1) {
  Pending pending{};
  pending.id = id;
  pending.library_id = 10 * id;
  pending.library_ids = sequences;
  return pending;
}

TEST(Ids, GiveThePlacesInOrderAndNoneToALaterRequestThatWouldFit) {
  Ids ids(3);
  ids.Add(Request(1, 2));
  ids.Add(Request(2, 2));
  ids.Add(Request(3));
  EXPECT_EQ(ids.active(), 1u);
  EXPECT_EQ(ids.CountQueued(), 2u);
  EXPECT_FALSE(ids.Find(3)->placed);
  ids.Remove(ids.Find(1));
  EXPECT_EQ(ids.active(), 2u);
  EXPECT_TRUE(ids.Find(3)->placed);
}

TEST(Ids, CountNoCancelledRequestAsQueued) {
  Ids ids(1);
  ids.Add(Request(1));
  ids.Add(Request(2));
  EXPECT_EQ(ids.CountQueued(), 1u);
  ids.Cancel(ids.Find(2));
  EXPECT_EQ(ids.CountQueued(), 0u);
  EXPECT_EQ(ids.active(), 1u);
}

TEST(Ids, CountACancelledRequestNeverAgain) {
  Ids ids(1);
  for (const uint64_t id : {1, 2, 3}) ids.Add(Request(id));
  for (int i = 0; i < 2; ++i) ids.Cancel(ids.Find(2));
  ids.Cancel(ids.Find(1));  // it has a place
  EXPECT_EQ(ids.CountQueued(), 1u);
  ids.Remove(ids.Find(1));  // its place goes to the cancelled one
  EXPECT_EQ(ids.CountQueued(), 1u);
  ids.Remove(ids.Find(2));
  EXPECT_EQ(ids.CountQueued(), 0u);
  ids.Add(Request(4));
  EXPECT_EQ(ids.CountQueued(), 1u);
  ids.Remove(ids.Find(4));
  EXPECT_EQ(ids.CountQueued(), 0u);
}

TEST(Ids, CountWhatComesAgainstThePlacesThatAreFree) {
  Ids ids(3);
  ids.Add(Request(1));
  std::vector<Pending> more;
  more.push_back(Request(2));
  EXPECT_EQ(ids.CountQueuedWith(more), 0u);
  more.push_back(Request(3, 2));
  more.push_back(Request(4));
  EXPECT_EQ(ids.CountQueuedWith(more), 2u);
}

TEST(Ids, HaveNoPlacesTakenAfterClear) {
  Ids ids(1);
  ids.Add(Request(1));
  ids.Add(Request(2));
  ids.Clear();
  EXPECT_EQ(ids.size(), 0u);
  ids.Add(Request(3));
  EXPECT_EQ(ids.CountQueued(), 0u);
}

TEST(Ids, FindARequestByTheIdOfEachOfItsSequences) {
  Ids ids(4);
  ids.Add(Request(1, 3));
  ids.Add(Request(2));
  EXPECT_EQ(ids.FindLibraryId(12), ids.Find(1));
  EXPECT_EQ(ids.FindLibraryId(13), nullptr);
  EXPECT_EQ(ids.FindLibraryId(20), ids.Find(2));
  EXPECT_EQ(ids.FindLibraryId(9), nullptr);
}

}  // namespace
}  // namespace adapter
