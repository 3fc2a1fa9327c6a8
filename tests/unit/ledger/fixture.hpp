// A ledger whose journal is the test: `commit` makes what was decided durable, or not yet.
#pragma once

#include "src/ledger/ledger.hpp"

#include <gtest/gtest.h>

namespace reeve::ledger::test {

constexpr Peer client = 0x11, other_client = 0x12, agent = 0x21, other_agent = 0x22;

inline Resources vcores(std::int64_t n) {
  Resources r;
  r.cpu_milli = n * 1000;
  return r;
}
inline JobSpec array_of(std::uint32_t count) {
  JobSpec spec;
  spec.name = "job";
  spec.executor = "noop";
  spec.count = count;
  spec.resources = vcores(1);
  return spec;
}

class LedgerTest : public testing::Test {
protected:
  LedgerTest() {
    ledger_.begin(now_);
    commit();
    ledger_.take_committed();
  }

  // ---- the journal
  /// Everything decided so far becomes durable. The batches, as the journal would get them.
  std::vector<journal::Batch> commit() {
    auto batches = ledger_.take_batches();
    if (!batches.empty())
      ledger_.durable(batches.back().last());
    return batches;
  }

  // ---- asking
  void ask(const Request& request, Peer peer = client, std::uint64_t correlation = 1) {
    now_ += std::chrono::milliseconds(10);
    ledger_.request(peer, correlation, request, now_);
  }
  void ask_submit(const std::vector<JobSpec>& specs, const std::string& key = {},
                  Peer peer = client, std::uint64_t correlation = 1) {
    core::SubmitJobs request;
    request.key = {key};
    for (const JobSpec& spec : specs)
      request.specs.push_back(Raw{encode(spec)});
    ask(request, peer, correlation);
  }
  JobId submit(const JobSpec& spec) {
    ask_submit({spec});
    commit();
    return answer<Submitted>().first;
  }
  void register_node(const std::string& name, Peer peer = agent, std::uint64_t incarnation = 1,
                     std::vector<JobRuns> attempts = {}) {
    RegisterNode message;
    message.name = name;
    message.incarnation = Incarnation(incarnation);
    message.session = 7;
    message.capacity = vcores(4);
    message.executors = {"noop"};
    message.attempts = std::move(attempts);
    ledger_.register_node(peer, 3, message, std::chrono::seconds(1), now_);
  }
  NodeId node(const std::string& name, Peer peer = agent) {
    register_node(name, peer);
    commit();
    ledger_.take_effects();
    return ledger_.cluster().find_node(name)->id;
  }
  RefusedWish place(NodeId to, JobId job, std::vector<TaskRun> runs, std::uint32_t slots = 1) {
    return ledger_.wish(core::Place{{{to, job, slots, std::move(runs)}}}, now_);
  }
  void results(NodeId from, JobId job, std::vector<TaskRun> runs, std::uint64_t number,
               Peer peer = agent) {
    Results message;
    message.number = number;
    message.jobs.push_back({job, {}, {}});
    for (const TaskRun& run : runs)
      message.jobs[0].quiet.push_back({run, now_, now_});
    ledger_.results(peer, from, std::move(message), now_);
  }

  // ---- what came out
  std::vector<Effect> effects() { return ledger_.take_effects(); }
  /// The only effect released, which is an answer of this type.
  template<class M> M answer(Peer peer = client, std::uint64_t correlation = 1) {
    const auto all = effects();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? M{} : as<M>(all[0], peer, correlation);
  }
  template<class M>
  static M as(const Effect& effect, Peer peer = client, std::uint64_t correlation = 1) {
    const auto* to = std::get_if<ToPeer>(&effect);
    EXPECT_NE(to, nullptr) << "effect " << effect.index();
    if (!to)
      return {};
    EXPECT_EQ(to->peer, peer);
    EXPECT_EQ(to->correlation, correlation);
    EXPECT_EQ(name_of(to->type), name_of(M::type));
    const auto body = decode<M>(to->body);
    EXPECT_TRUE(body) << body.error().message();
    return body ? *body : M{};
  }
  /// The only effect released, which is this.
  template<class E> E only() {
    auto all = effects();
    EXPECT_EQ(all.size(), 1u);
    const auto* effect = all.empty() ? nullptr : std::get_if<E>(&all[0]);
    EXPECT_NE(effect, nullptr);
    return effect ? *effect : E{};
  }
  /// Asks what changes nothing and answers at once.
  template<class M> M told(const Request& request) {
    ask(request);
    return answer<M>();
  }

  TimePoint now_{std::chrono::hours(500'000)};
  Ledger ledger_{{"cluster", "master", "reeved 0", now_, {{"a", "1"}}}, core::Cluster()};
};

} // namespace reeve::ledger::test
