// Nodes that fail different jobs, told apart from jobs that fail everywhere.
#include "src/deciders/recovery.hpp"

#include <gtest/gtest.h>

namespace reeve::deciders {
namespace {

using namespace std::chrono_literals;

class quarantine : public testing::Test {
protected:
  quarantine() {
    for (std::uint32_t id = 1; id <= 3; ++id)
      change(id, TimePoint{});
  }
  void change(std::uint32_t id, TimePoint until) {
    core::NodeChanged node;
    node.node = NodeId(id);
    node.name = "n" + std::to_string(id);
    node.quarantined = until;
    recovery_.apply(core::Changes{node});
  }
  void end(std::uint32_t node, std::uint64_t job, Cause cause = Cause::none) {
    TasksFinished fact{NodeId(node), {{JobId(job), {}, {}}}};
    if (cause == Cause::none)
      fact.jobs[0].quiet.push_back({{0, 1, 1}, now_, now_});
    fact.jobs[0].tasks.resize(cause == Cause::none ? 0 : 1);
    for (TaskResult& result : fact.jobs[0].tasks)
      result.cause = cause;
    core::Committed batch;
    batch.entries.push_back({now_, std::move(fact)});
    recovery_.apply(batch);
  }
  /// What is put away now, and until when; as the ledger answers.
  std::optional<core::Quarantine> put_away() {
    const auto commands = recovery_.decide(now_);
    if (commands.empty())
      return std::nullopt;
    EXPECT_EQ(commands.size(), 1u);
    auto wish = std::get<core::Quarantine>(commands[0]);
    for (const NodeId id : wish.nodes)
      change(id.value, wish.until);
    return wish;
  }
  void five_fail_on(std::uint32_t node) {
    for (std::uint64_t job = 1; job <= 5; ++job)
      end(node, job, Cause::exit_code);
  }

  Recovery recovery_{1};
  TimePoint now_{std::chrono::hours(500'000)};
};

TEST_F(quarantine, a_node_where_five_jobs_fail_that_do_well_elsewhere_is_put_away) {
  end(2, 1);
  for (std::uint64_t job = 1; job <= 4; ++job)
    end(1, job, job % 2 == 0 ? Cause::signal : Cause::start_failed);
  EXPECT_FALSE(put_away()) << "four are too few";
  end(1, 5, Cause::executor_error);
  const auto wish = put_away();
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->nodes, (std::vector<NodeId>{NodeId(1)}));
  EXPECT_EQ(wish->until, now_ + 10min);
  EXPECT_EQ(wish->reason, "5 different jobs have failed here, 100 % of what ended");
  end(1, 6, Cause::exit_code);
  EXPECT_FALSE(put_away()) << "it is away";
}

TEST_F(quarantine, one_job_that_fails_often_is_the_jobs_fault) {
  end(2, 7);
  for (int n = 0; n < 50; ++n)
    end(1, 1, Cause::exit_code);
  EXPECT_FALSE(put_away());
}

TEST_F(quarantine, jobs_that_fail_everywhere_are_no_nodes_fault) {
  for (std::uint64_t job = 1; job <= 20; ++job)
    for (std::uint32_t node = 1; node <= 3; ++node)
      end(node, job, Cause::exit_code);
  end(2, 30);
  EXPECT_FALSE(put_away());
}

TEST_F(quarantine, a_few_failures_among_many_successes_are_none) {
  for (std::uint64_t job = 1; job <= 6; ++job)
    end(1, job, Cause::exit_code);
  for (std::uint64_t job = 10; job <= 20; ++job)
    end(1, job);
  end(2, 1);
  EXPECT_FALSE(put_away());
}

TEST_F(quarantine, what_was_stopped_or_ran_too_long_does_not_count) {
  end(2, 1);
  std::uint64_t job = 1;
  for (const Cause cause : {Cause::cancelled, Cause::time_limit, Cause::preempted, Cause::drained,
                            Cause::lost_node, Cause::out_of_memory})
    end(1, job++, cause);
  EXPECT_FALSE(put_away());
}

TEST_F(quarantine, old_failures_are_forgotten) {
  end(2, 1);
  for (std::uint64_t job = 1; job <= 5; ++job) {
    end(1, job, Cause::exit_code);
    now_ += 3min;
  }
  end(2, 1);
  EXPECT_FALSE(put_away()) << "over fifteen minutes, with a window of ten";
}

TEST_F(quarantine, a_failure_after_it_puts_the_node_back_for_twice_as_long_a_success_clears_it) {
  end(2, 1);
  five_fail_on(1);
  ASSERT_TRUE(put_away());
  now_ += 10min;
  end(2, 1);
  end(1, 8, Cause::exit_code);
  const auto again = put_away();
  ASSERT_TRUE(again) << "the probe failed";
  EXPECT_EQ(again->until, now_ + 20min);
  now_ += 20min;
  end(1, 9);
  end(2, 1);
  end(1, 10, Cause::exit_code);
  EXPECT_FALSE(put_away()) << "it had been cleared";
}

TEST_F(quarantine, a_second_node_stays_while_the_first_is_away_and_follows_a_refusal) {
  end(3, 1);
  five_fail_on(1);
  five_fail_on(2);
  end(3, 2);
  for (std::uint64_t job = 10; job < 30; ++job)
    end(3, job);
  const auto first = put_away();
  ASSERT_TRUE(first) << "at most one of three";
  recovery_.refused(core::Command(*first), Error{Code::unavailable, {}, "the disk is full"});
  end(1, 6, Cause::exit_code);
  EXPECT_FALSE(put_away()) << "not before the ledger may take it";
  now_ += 2s;
  EXPECT_TRUE(put_away());
}

TEST_F(quarantine, none_when_switched_off_or_when_the_node_is_the_only_one) {
  Recovery alone(1);
  core::NodeChanged node;
  node.node = NodeId(1);
  alone.apply(core::Changes{node});
  std::swap(alone, recovery_);
  five_fail_on(1);
  EXPECT_FALSE(put_away());
  std::swap(alone, recovery_);
  recovery_.apply(core::Changes{core::ConfigUpdated{{{"quarantine.failures", "0"}}}});
  end(2, 1);
  five_fail_on(1);
  EXPECT_FALSE(put_away());
}

} // namespace
} // namespace reeve::deciders
