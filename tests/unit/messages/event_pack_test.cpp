// Many events in one message: written and read, and what is read of bytes that are none.
#include "messages/event_pack.hpp"

#include <gtest/gtest.h>

namespace reeve {
namespace {

Event event(std::uint64_t seq, std::uint32_t part, std::string kind) {
  Event out;
  out.seq = Seq(seq);
  out.part = part;
  out.kind = std::move(kind);
  return out;
}
std::vector<PackedEvent> read(std::string_view bytes) {
  std::vector<PackedEvent> out;
  PackReader reader(bytes);
  while (const auto next = reader.next())
    out.push_back(*next);
  return out;
}

TEST(event_pack, has_each_event_with_its_place_and_topic) {
  std::vector<Event> events{event(1, 0, "master.started"), event(300, 1, "job.ended"),
                            event(1ull << 40, 70'000, "node.lost")};
  events[1].job = JobId(7);
  events[1].text = std::string(70'000, 'x');
  events[2].node = std::string(300, 'n');
  EventPack pack;
  for (const Event& e : events) {
    const PackedEvent added = pack.add(e);
    EXPECT_EQ(added.event, encode(e));
  }
  EXPECT_EQ(pack.count(), 3u);
  EXPECT_EQ(pack.first(), Seq(1));
  EXPECT_EQ(pack.last(), Seq(1ull << 40));
  EXPECT_EQ(pack.last_part(), 70'000u);
  EXPECT_EQ(PackReader(pack.bytes()).count(), 3u);
  const auto found = read(pack.bytes());
  ASSERT_EQ(found.size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(found[k].seq, events[k].seq);
    EXPECT_EQ(found[k].part, events[k].part);
    EXPECT_EQ(decode<Event>(found[k].event).value(), events[k]);
  }
  EXPECT_EQ(found[0].topic, "master.started");
  EXPECT_EQ(found[1].topic, "job.ended.7");
  EXPECT_EQ(found[2].topic, "node.lost." + events[2].node);
}
TEST(event_pack, can_be_filled_again) {
  EventPack pack;
  pack.add(event(1, 2, "a"));
  pack.clear();
  EXPECT_EQ(pack.count(), 0u);
  EXPECT_TRUE(pack.bytes().empty());
  pack.add(event(5, 0, "b"));
  EXPECT_EQ(pack.first(), Seq(5));
  ASSERT_EQ(read(pack.bytes()).size(), 1u);
  EXPECT_EQ(read(pack.bytes())[0].topic, "b");
}
TEST(event_pack, bytes_that_are_none_have_no_events) {
  for (const std::string_view bytes :
       {"", "\x93", "\x81\x01\x02", "\xdd\xff\xff\xff\xff", "\xdc\xff", "\x91\xc0",
        "\x91\x93\x01\x01\xa1", "\x91\x94\x01\x01\xa1x\xa1", "plain text"})
    EXPECT_TRUE(read(bytes).empty()) << bytes;
}
TEST(event_pack, of_a_torn_one_the_whole_events_are_read) {
  EventPack pack;
  for (std::uint64_t seq = 1; seq <= 3; ++seq)
    pack.add(event(seq, 0, "job.held"));
  for (std::size_t size = 0; size < pack.bytes().size(); ++size)
    EXPECT_LT(read(std::string_view(pack.bytes()).substr(0, size)).size(), 3u) << size;
  EXPECT_EQ(read(std::string_view(pack.bytes()).substr(0, pack.bytes().size() - 1)).size(), 2u);
}
TEST(event_pack, is_read_in_any_form_of_msgpack) {
  const std::string_view bytes("\x91\xdc\x00\x04\xcd\x01\x02\xcc\x03\xd9\x01k\xc4\x02\x80\x80", 16);
  const auto found = read(bytes);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].seq, Seq(258));
  EXPECT_EQ(found[0].part, 3u);
  EXPECT_EQ(found[0].topic, "k");
  EXPECT_EQ(found[0].event.size(), 2u);
}
TEST(event_topic, names_the_job_or_else_the_node) {
  Event e = event(1, 0, "task.failed");
  const auto topic = [&] {
    std::string out;
    put_topic(out, e);
    return out;
  };
  EXPECT_EQ(topic(), "task.failed");
  e.node = "n1";
  EXPECT_EQ(topic(), "task.failed.n1");
  e.job = JobId(7);
  EXPECT_EQ(topic(), "task.failed.7");
}

} // namespace
} // namespace reeve
