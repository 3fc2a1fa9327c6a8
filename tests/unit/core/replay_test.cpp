// Facts and snapshots that come from a disk: what does not fit is found out and named.
#include "tests/unit/core/fixture.hpp"

#include <cstring>

namespace reeve::core::test {
namespace {

class replaying : public CoreTest {
protected:
  /// A little of everything: nodes 1 (up) and 2 (lost), job 1 in flight, 2 over, 3 interrupted,
  /// lease 1.
  void SetUp() override {
    const NodeId a = add_node("a");
    const NodeId b = add_node("b");
    JobSpec tried = array_of(4);
    tried.retries = 1;
    const JobId flying = submit(array_of(4), "key"), over = submit(array_of(1)),
                broken = submit(tried);
    placed(a, flying, {{0, 2}});
    placed(b, over, {{0, 1}});
    finish(b, over, {{0, 1}});
    placed(b, broken, {{0, 2}}, 2);
    report(b, broken, result_of(0, Cause::exit_code, 1));
    lose(b);
    GrantLease lease;
    lease.node = "a";
    lease.resources = vcores(1);
    run(lease);
    run(ChangeConfig{{{"x", "1"}}});
    run(JudgePromise{"reliability", false, "at least 99 %", "90 %", now_});
    run(BeginEpoch{Epoch(5), "m"});
  }
  /// The error of an entry that comes next.
  std::string error_of(Fact fact) {
    auto copy = Cluster::restore(cluster_.snapshot());
    Changes changes;
    const Seq next = cluster_.last_seq().next();
    const auto done = copy->replay(next, Entry{now_, std::move(fact)}, changes);
    if (done)
      return {};
    EXPECT_EQ(done.error().code, Code::corrupt);
    EXPECT_EQ(done.error().field, "entry " + std::to_string(next.value));
    return done.error().text;
  }
};

TEST_F(replaying, refuses_facts_that_do_not_fit_and_says_which) {
  const JobId flying(1), over(2), broken(3), unknown(9);
  const NodeId a(1), none(7);
  const std::pair<Fact, const char*> facts[] = {
    {EpochStarted{Epoch(5), "m"}, "does not grow"},
    {NodeRegistered{NodeId(5), "c", {}, {}, {}, {}, {}}, "another id"},
    {NodeRegistered{NodeId(3), "a", {}, {}, {}, {}, {}}, "another id"},
    {NodesLost{{none}, {}, false}, "node 7 is unknown"},
    {NodesDrained{{none}, true, {}}, "node 7 is unknown"},
    {NodesLabelled{{none}, {}}, "node 7 is unknown"},
    {NodesRemoved{{none}}, "node 7 is unknown"},
    {NodesQuarantined{{none}, {}, {}}, "node 7 is unknown"},
    {NodeTuned{none, 1000, false, {}}, "node 7 is unknown"},
    {JobsSubmitted{JobId(7), {}, {Raw{encode(array_of(1))}}}, "do not continue"},
    {JobsSubmitted{JobId(4), {}, {Raw{encode(std::string("x"))}}}, "damaged"},
    {TasksPlaced{{{a, unknown, 1, {{0, 1}}}}}, "job 9 is unknown"},
    {TasksPlaced{{{none, flying, 1, {{2, 1}}}}}, "node 7 is unknown"},
    {TasksPlaced{{{a, flying, 1, {{1, 1}}}}}, "do not wait"},
    {TasksPlaced{{{a, flying, 1, {{2, 1, 2}}}}}, "do not wait"},
    {TasksPlaced{{{a, flying, 1, {{3, 2}}}}}, "no task"},
    {TasksPlaced{{{a, flying, 1, {{2, 1}}}, {a, flying, 1, {{2, 1}}}}}, "do not wait"},
    {TasksFinished{none, {}}, "node is unknown"},
    {TasksFinished{a, {{broken, {}, {result_of(0)}}}}, "nothing in flight"},
    {TasksFinished{a, {{flying, {}, {result_of(0), result_of(0)}}}}, "was not in flight"},
    {TasksFinished{a, {{flying, {{{0, 3}, {}, {}}}, {}}}}, "were not in flight"},
    {TasksRequeued{broken, {{2, 1, 1}}, {}, {}, {}}, "not interrupted"},
    {TasksGivenUp{flying, {{0, 1, 1}}, false, {}, {}}, "not interrupted"},
    {TasksCancelled{unknown, {}, {}}, "job 9 is unknown"},
    {TasksCancelled{flying, {{4, 1}}, {}}, "no task"},
    {TasksRetried{unknown, {}}, "job 9 is unknown"},
    {JobHeld{unknown, true, {}}, "job 9 is unknown"},
    {JobsForgotten{{over, flying}}, "has not ended"},
    {LeaseGranted{LeaseId(1), a, {}, {}, {}, {}}, "do not grow"},
    {LeaseGranted{LeaseId(2), none, {}, {}, {}, {}}, "node 7 is unknown"},
    {LeaseRenewed{LeaseId(9), {}}, "unknown"},
    {LeasesEnded{{LeaseId(9)}, false}, "lease 9 is unknown"},
    {TasksPreempted{none, flying, {{0, 1}}, {}, {}}, "not in flight"},
    {NodeFlagged{none, {}}, "node 7 is unknown"},
    {TasksAbandoned{none, flying, {}}, "nothing in flight there"},
    {PromiseJudged{"wait", true, {}, {}, {}}, "was not broken"},
    {PromiseJudged{"reliability", false, {}, {}, {}}, "was broken already"},
  };
  std::set<std::size_t> kinds;
  for (const auto& [fact, wanted] : facts) {
    const std::string text = error_of(fact);
    EXPECT_NE(text.find(wanted), std::string::npos) << name_of(fact) << ": '" << text << "'";
    EXPECT_EQ(text.find(name_of(fact)), 0u) << text;
    kinds.insert(fact.index());
  }
  EXPECT_EQ(kinds.size(), std::variant_size_v<Fact> - 1) << "of all but ConfigChanged";
}

TEST_F(replaying, refuses_a_gap_and_a_repetition) {
  Changes changes;
  for (const std::uint64_t off : {0u, 2u}) {
    const Seq seq(cluster_.last_seq().value + off);
    const auto done = cluster_.replay(seq, Entry{now_, ConfigChanged{}}, changes);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().text.find("expected entry"), std::string::npos);
  }
}

TEST_F(replaying, from_a_snapshot_goes_on_as_if_nothing_had_happened) {
  auto half = Cluster::restore(cluster_.snapshot());
  ASSERT_TRUE(half);
  const std::size_t before = entries_.size();
  placed(NodeId(1), JobId(1), {{2, 2}}, 3);
  run(Requeue{JobId(3), {{0, 1, 1}}, Cause::exit_code, now_, "again"});
  add_node("b");
  run(Cancel{JobId(3), {{1, 2}}, "enough"});
  Changes changes;
  Seq seq = half->last_seq();
  for (std::size_t i = before; i < entries_.size(); ++i)
    ASSERT_TRUE(half->replay(seq = seq.next(), entries_[i], changes));
  EXPECT_EQ(half->state_hash(), cluster_.state_hash());
  EXPECT_TRUE(
    half->execute(SubmitJobs{{"key"}, {Raw{encode(array_of(4))}}}, now_, changes).duplicate);
}

TEST_F(replaying, a_snapshot_cut_anywhere_is_an_error_not_another_state) {
  const std::string whole = cluster_.snapshot();
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(Cluster::restore(std::string_view(whole).substr(0, n))) << n;
  EXPECT_EQ(Cluster::restore(whole + "x").error().code, Code::corrupt);
}

TEST_F(replaying, a_snapshot_with_a_flipped_bit_ends_no_process) {
  const std::string whole = cluster_.snapshot();
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += 3) {
    std::string bad = whole;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    if (auto restored = Cluster::restore(bad)) // the journal's checksum is what finds these
      static_cast<void>(restored->check_invariants());
  }
}

TEST_F(replaying, a_snapshot_of_a_later_program_is_refused_by_its_version) {
  std::string other = cluster_.snapshot();
  ASSERT_EQ(other[5], 2); // behind the length and the head's array
  other[5] = 99;
  const auto restored = Cluster::restore(other);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, Code::unknown_version);
  EXPECT_NE(restored.error().text.find("99"), std::string::npos);
}

} // namespace
} // namespace reeve::core::test
