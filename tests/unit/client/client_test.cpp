// The client against a master that answers well, late, twice, wrongly or not at all, over real
// sockets.
#include "src/client/client.hpp"
#include "tests/unit/client/fake_master.hpp"

#include <gtest/gtest.h>
#include <set>

namespace reeve {
namespace {
using namespace std::chrono_literals;
using testing_support::FakeMaster;

ClientOptions quick() {
  ClientOptions options;
  options.again = 20ms;
  return options;
}
JobSpec hello_job() {
  JobSpec spec;
  spec.command = {"echo", "hello"};
  return spec;
}

TEST(client, submits_a_job_with_a_random_key) {
  std::set<std::string> keys;
  FakeMaster master([&](FakeMaster::Asked& asked) {
    keys.insert(asked.as<Submit>().key.data);
    asked.reply(Submitted{JobId(4 + static_cast<std::uint64_t>(asked.time)), 1, false, ""});
  });
  auto client = Client::connect({master.endpoint()});
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_EQ(client->welcome().cluster, "test");
  EXPECT_EQ(*client->submit(hello_job()), JobId(5));
  EXPECT_EQ(*client->submit(hello_job()), JobId(6));
  EXPECT_EQ(keys.size(), 2U);
  for (const auto& key : keys)
    EXPECT_EQ(key.size(), 16U);
}

TEST(client, repeats_a_submit_with_the_same_key_when_the_reply_is_lost) {
  std::set<std::string> keys;
  FakeMaster master([&](FakeMaster::Asked& asked) {
    keys.insert(asked.as<Submit>().key.data);
    if (asked.time == 3)
      asked.reply(Submitted{JobId(1), 1, true, ""});
  });
  auto client = Client::connect({master.endpoint()}, quick());
  EXPECT_EQ(*client->submit(hello_job()), JobId(1));
  EXPECT_EQ(keys.size(), 1U);
}

TEST(client, ignores_replies_that_come_twice_or_belong_to_nobody) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    Stats stats;
    stats.jobs = static_cast<std::uint64_t>(asked.time);
    asked.frames({encode(Header{1, MessageType::stats, asked.header.correlation + 1000, {}}),
                  encode(Stats{})});
    asked.reply(stats);
    asked.reply(stats);
  });
  auto client = Client::connect({master.endpoint()});
  for (std::uint64_t k = 1; k <= 20; ++k)
    EXPECT_EQ(client->ask(GetStats{})->jobs, k);
}

TEST(client, survives_garbage_and_asks_again) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    switch (asked.time) {
    case 1:
      asked.frames({"garbage", "more"});
      break;
    case 2:
      asked.frames({""});
      break;
    case 3:
      asked.frames({encode(Header{1, MessageType::stats, asked.header.correlation, {}}), "x", "y"});
      break;
    default:
      asked.reply(Stats{});
    }
  });
  auto client = Client::connect({master.endpoint()}, quick());
  EXPECT_TRUE(client->ask(GetStats{}));
  EXPECT_EQ(master.asked(MessageType::get_stats), 4);
}

TEST(client, a_reply_of_the_wrong_type_or_shape_is_an_error_and_not_an_answer) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    if (asked.time == 1)
      asked.reply(Done{});
    else
      asked.frames(
        {encode(Header{1, MessageType::stats, asked.header.correlation, {}}), "\x91\x01"});
  });
  auto client = Client::connect({master.endpoint()});
  const auto wrong_type = client->ask(GetStats{});
  ASSERT_FALSE(wrong_type);
  EXPECT_EQ(wrong_type.error().code, Code::bad_message);
  EXPECT_EQ(wrong_type.error().text, "the master answered get_stats with done (4)");
  const auto wrong_shape = client->ask(GetStats{});
  ASSERT_FALSE(wrong_shape);
  EXPECT_EQ(wrong_shape.error().code, Code::bad_message);
}

TEST(client, waits_and_repeats_when_the_master_is_busy) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    if (asked.time < 4)
      asked.refuse(Code::busy, "", "too much in flight", 5ms);
    else
      asked.reply(Submitted{JobId(9), 1, false, ""});
  });
  auto client = Client::connect({master.endpoint()});
  EXPECT_EQ(*client->submit(hello_job()), JobId(9));
  EXPECT_EQ(master.asked(MessageType::submit), 4);
}

TEST(client, a_master_busy_for_longer_than_the_call_may_take_is_reported_as_busy) {
  FakeMaster master(
    [](FakeMaster::Asked& asked) { asked.refuse(Code::busy, "", "too much in flight", 1h); });
  auto client = Client::connect({master.endpoint()});
  const auto job = client->submit(hello_job());
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().code, Code::busy);
}

TEST(client, refusals_keep_code_field_and_words) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    asked.refuse(Code::bad_field, "jobs[0].queue", "no such queue");
  });
  auto client = Client::connect({master.endpoint()});
  EXPECT_EQ(client->submit(hello_job()).error(),
            (Error{Code::bad_field, "jobs[0].queue", "no such queue"}));
}

TEST(client, an_unknown_version_is_told_at_once) {
  FakeMaster master(
    [](FakeMaster::Asked& asked) {
      Failed failed{Code::unknown_version, "version", "spoken here: 2, 3", {}, {2, 3}};
      asked.frames(
        {encode(Header{3, MessageType::failed, asked.header.correlation, {}}), encode(failed)});
    },
    false);
  const auto client = Client::connect({master.endpoint()});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Code::unknown_version);
  EXPECT_EQ(client.error().text, "spoken here: 2, 3");
}

TEST(client, nobody_there_is_told_with_the_places_tried) {
  ClientOptions options;
  options.connect_timeout = 50ms;
  // Port 1 on loopback: reserved, and nobody listens.
  const auto client = Client::connect({"tcp://127.0.0.1:1"}, options);
  ASSERT_FALSE(client);
  EXPECT_TRUE(no_master_reached(client.error()));
  EXPECT_EQ(client.error().message(), "master: none reached at tcp://127.0.0.1:1");
}

TEST(client, a_listener_that_is_no_master_is_told_apart) {
  FakeMaster master([](FakeMaster::Asked&) {}, false);
  ClientOptions options = quick();
  options.connect_timeout = 200ms;
  const auto client = Client::connect({master.endpoint()}, options);
  ASSERT_FALSE(client);
  EXPECT_TRUE(no_master_reached(client.error()));
}

TEST(client, a_wrong_endpoint_is_named) {
  for (const char* bad : {"tcp://127.0.0.1:port", "gopher://x:1", "tcp://127.0.0.1:99999"}) {
    const auto client = Client::connect({bad});
    ASSERT_FALSE(client) << bad;
    EXPECT_EQ(client.error().code, Code::bad_field);
    EXPECT_EQ(client.error().field, "master");
  }
  EXPECT_FALSE(Client::connect({}));
}

TEST(client, the_second_master_is_found_when_the_first_is_down) {
  FakeMaster master([](FakeMaster::Asked& asked) { asked.reply(Stats{}); });
  auto client = Client::connect({"tcp://127.0.0.1:1", master.endpoint()});
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_TRUE(client->ask(GetStats{}));
}

TEST(client, the_second_master_is_asked_when_the_first_is_not_the_leader) {
  FakeMaster follower(
    [](FakeMaster::Asked& asked) { asked.refuse(Code::not_leader, "", "ask another"); });
  FakeMaster leader([](FakeMaster::Asked& asked) { asked.reply(Stats{}); });
  auto client = Client::connect({follower.endpoint(), leader.endpoint()}, quick());
  EXPECT_TRUE(client->ask(GetStats{}));
}

TEST(client, a_wait_goes_on_through_a_restart_of_the_master) {
  FakeMaster* self = nullptr;
  FakeMaster master([&](FakeMaster::Asked& asked) {
    const auto wait = asked.as<Wait>();
    JobProgress progress;
    progress.job = wait.jobs.at(0);
    progress.total = 10;
    if (asked.time == 1) {
      progress.succeeded = 4;
      progress.state = JobState::running;
      asked.reply(Progress{{progress}, false});
      self->restart_after_this();
      return;
    }
    progress.succeeded = 10;
    progress.state = JobState::succeeded;
    asked.reply(Progress{{progress}, true});
  });
  self = &master;
  auto client = Client::connect({master.endpoint()});
  const auto ended = client->wait({JobId(3)});
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->at(0).state, JobState::succeeded);
  EXPECT_EQ(master.asked(MessageType::wait), 2);
}

TEST(client, a_wait_tells_progress_of_all_jobs_and_answers_in_the_order_asked) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    JobProgress a, b;
    a.job = JobId(1);
    b.job = JobId(2);
    a.state = JobState::failed;
    asked.reply(Progress{{a}, false});
    b.state = JobState::succeeded;
    asked.reply(Progress{{b}, true});
  });
  auto client = Client::connect({master.endpoint()});
  std::size_t told = 0;
  WaitOptions options;
  options.on_progress = [&](const std::vector<JobProgress>& all) {
    ++told;
    EXPECT_EQ(all.size(), 2U);
  };
  const auto ended = client->wait({JobId(2), JobId(1)}, options);
  ASSERT_TRUE(ended);
  EXPECT_EQ(told, 2U);
  EXPECT_EQ(ended->at(0).state, JobState::succeeded);
  EXPECT_EQ(ended->at(1).state, JobState::failed);
}

TEST(client, a_wait_ends_at_its_time_limit_or_for_an_unknown_job) {
  FakeMaster master([](FakeMaster::Asked& asked) {
    if (asked.as<Wait>().jobs.at(0) == JobId(404))
      asked.refuse(Code::not_found, "jobs[0]", "no job 404");
  });
  auto client = Client::connect({master.endpoint()});
  WaitOptions options;
  options.timeout = 20ms;
  EXPECT_EQ(client->wait({JobId(1)}, options).error().code, Code::timed_out);
  EXPECT_EQ(client->wait({JobId(404)}).error().code, Code::not_found);
}

TEST(client, an_interrupted_wait_returns) {
  std::atomic<bool> stop{false};
  FakeMaster master([&](FakeMaster::Asked&) { stop = true; });
  ClientOptions options;
  options.interrupted = [&] { return stop.load(); };
  auto client = Client::connect({master.endpoint()}, options);
  EXPECT_EQ(client->wait({JobId(1)}).error().text, "interrupted");
  EXPECT_EQ(client->in_flight(), 0U);
}

TEST(client, many_submits_can_be_under_way_and_each_is_answered_once) {
  std::atomic<std::uint64_t> next{1};
  FakeMaster master([&](FakeMaster::Asked& asked) {
    if (asked.time % 97 == 0)
      return; // lost
    asked.reply(Submitted{JobId(next++), 1, false, ""});
    if (asked.time % 89 == 0)
      asked.reply(Submitted{JobId(1), 1, false, ""}); // twice
  });
  ClientOptions options = quick();
  options.in_flight_max = 256;
  auto client = Client::connect({master.endpoint()}, options);
  constexpr int total = 5000;
  int good = 0;
  Submit request;
  request.jobs.push_back(hello_job());
  for (int k = 0; k < total; ++k) {
    ASSERT_TRUE(
      client->submit_async(request, [&](const Result<Submitted>& done) { good += done ? 1 : 0; }));
    EXPECT_LE(client->in_flight(), 256U);
  }
  ASSERT_TRUE(client->drain(60s));
  EXPECT_EQ(good, total);
}

TEST(client, many_jobs_go_out_in_several_messages_and_come_back_in_order) {
  std::uint64_t next = 1;
  std::set<std::string> keys;
  FakeMaster master([&](FakeMaster::Asked& asked) {
    const auto submit = asked.as<Submit>();
    keys.insert(submit.key.data);
    const auto first = next;
    next += submit.jobs.size();
    asked.reply(Submitted{JobId(first), static_cast<std::uint32_t>(submit.jobs.size()), false, ""});
  });
  auto client = Client::connect({master.endpoint()});
  const auto ids = client->submit(std::vector<JobSpec>(25'000, hello_job()), "nightly");
  ASSERT_TRUE(ids) << ids.error().message();
  ASSERT_EQ(ids->size(), 25'000U);
  for (std::size_t k = 0; k < ids->size(); ++k)
    ASSERT_EQ((*ids)[k], JobId(k + 1));
  EXPECT_EQ(keys, (std::set<std::string>{"nightly#0", "nightly#10000", "nightly#20000"}));
}

TEST(client, a_refusal_in_a_later_message_names_the_job_by_its_place_in_the_whole) {
  FakeMaster master([&](FakeMaster::Asked& asked) {
    if (asked.time == 1)
      asked.reply(Submitted{JobId(1), 10'000, false, ""});
    else
      asked.refuse(Code::bad_field, "jobs[3].queue", "no such queue");
  });
  auto client = Client::connect({master.endpoint()});
  const auto ids = client->submit(std::vector<JobSpec>(10'010, hello_job()));
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().field, "jobs[10003].queue");
}

TEST(client, a_retry_is_not_sent_twice_when_the_master_restarts) {
  FakeMaster* self = nullptr;
  FakeMaster master([&](FakeMaster::Asked&) { self->restart_after_this(); });
  self = &master;
  auto client = Client::connect({master.endpoint()}, quick());
  ActOnJobs retry;
  retry.action = JobAction::retry;
  retry.jobs = {JobId(1)};
  const auto done = client->act(retry);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::timed_out);
  EXPECT_EQ(master.asked(MessageType::act_on_jobs), 1);
}

TEST(client, a_master_that_is_back_is_greeted_as_the_first_time) {
  FakeMaster* self = nullptr;
  bool greeted = false; // a standby answers questions of those only who asked for a standby
  FakeMaster master(
    [&](FakeMaster::Asked& asked) {
      if (asked.header.type == MessageType::hello) {
        EXPECT_EQ(asked.as<Hello>().name, "watcher");
        greeted = asked.as<Hello>().standby;
        Welcome welcome;
        welcome.role = "standby";
        asked.reply(welcome);
      } else if (!greeted) {
        asked.refuse(Code::not_leader, "master", "no leader", 5ms);
      } else {
        asked.reply(Stats{});
        if (asked.time == 1) {
          greeted = false;
          self->restart_after_this();
        }
      }
    },
    false);
  self = &master;
  ClientOptions options = quick();
  options.standby = true;
  options.name = "watcher";
  auto client = Client::connect({master.endpoint()}, options);
  ASSERT_TRUE(client) << client.error().message();
  EXPECT_TRUE(client->ask(GetStats{}, 30s));
  EXPECT_TRUE(client->ask(GetStats{}, 30s));
}

TEST(client, leases_are_taken_renewed_and_given_back) {
  FakeMaster master([&](FakeMaster::Asked& asked) {
    if (asked.header.type == MessageType::allocate) {
      LeaseView view;
      view.lease = LeaseId(7);
      EXPECT_EQ(asked.as<Allocate>().key.data.size(), 16U);
      asked.reply(Granted{view, {}});
    } else if (asked.header.type == MessageType::renew && asked.time == 1) {
      asked.reply(Granted{});
    } else {
      asked.reply(Done{1, ""});
    }
  });
  auto client = Client::connect({master.endpoint()});
  Allocate request;
  request.resources.cpu_milli = 1000;
  EXPECT_EQ(client->allocate(request)->lease.lease, LeaseId(7));
  EXPECT_TRUE(client->renew(LeaseId(7), 10s));
  EXPECT_TRUE(client->renew(LeaseId(7), 10s));
  EXPECT_EQ(client->release(Release{LeaseId(7), "", ""})->changed, 1U);
}

TEST(client, endpoints_are_made_whole) {
  EXPECT_EQ(
    parse_endpoints("host, tcp://b:1 ,10.0.0.1:7118,tcp://[::1],tcp://[::1]:9,,ipc:///run/x"),
    (std::vector<std::string>{"tcp://host:7117", "tcp://b:1", "tcp://10.0.0.1:7118",
                              "tcp://[::1]:7117", "tcp://[::1]:9", "ipc:///run/x"}));
  EXPECT_TRUE(parse_endpoints("").empty());
}

} // namespace
} // namespace reeve
