// The parts of keeper and agent that live in files and sockets: records, captured output,
// specifications, commands. No process is started.
#include "agents/worker/agent_control.hpp"
#include "agents/worker/agent_specs.hpp"
#include "agents/worker/agent_wire.hpp"
#include "agents/worker/executor_simple.hpp"
#include "agents/worker/keeper_log.hpp"
#include "agents/worker/keeper_proc.hpp"
#include "agents/worker/output_store.hpp"
#include "agents/worker/output_sweep.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

namespace reeve::worker {
namespace {

class parts : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "reeve-parts-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    std::filesystem::create_directory(dir_ + "/output");
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  [[nodiscard]] static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::string dir_;
};

AttemptId id_of(std::uint64_t job, TaskIndex index = 0, Attempt attempt = 1) {
  return {JobId(job), index, attempt};
}

// ---- the keeper's record

class keeper_log : public parts {
protected:
  void fill() {
    auto log = KeeperLog::create(path_, opened_);
    ASSERT_TRUE(log);
    sizes_.push_back(std::filesystem::file_size(path_));
    keeper::Exit exit{JobId(1), Epoch(3), {}};
    const record::Record records[] = {record::Intent{id_of(1), Epoch(3)},
                                      record::Started{id_of(1), 4711, 100, 101},
                                      record::Intent{id_of(2, 5, 2), Epoch(3)},
                                      record::Ended{exit},
                                      record::Released{id_of(1)},
                                      record::Intent{id_of(3), Epoch(4)}};
    for (const auto& record : records) {
      log->add(record);
      ASSERT_TRUE(log->flush());
      sizes_.push_back(std::filesystem::file_size(path_));
    }
  }
  std::string path_ = "";
  record::Opened opened_{Incarnation(9), "boot", 42, Incarnation(9)};
  std::vector<std::size_t> sizes_; // of the file after each record

  void SetUp() override {
    parts::SetUp();
    path_ = dir_ + "/attempts.log";
    fill();
  }
};

TEST_F(keeper_log, tells_what_was_under_way_and_is_not_released) {
  const LogState state = read_keeper_log(path_);
  EXPECT_EQ(state.opened, opened_);
  EXPECT_EQ(state.torn, "");
  ASSERT_EQ(state.attempts.size(), 2u);
  EXPECT_EQ(state.attempts.at(id_of(2, 5, 2)).epoch, Epoch(3));
  EXPECT_EQ(state.attempts.at(id_of(3)).pid, 0);
}

TEST_F(keeper_log, counts_up_to_the_cut_wherever_it_is_cut) {
  const std::string whole = read(path_);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write(path_, std::string_view(whole).substr(0, size));
    const LogState state = read_keeper_log(path_);
    const auto records = std::upper_bound(sizes_.begin(), sizes_.end(), size) - sizes_.begin();
    const bool between = size == 0 || std::count(sizes_.begin(), sizes_.end(), size) == 1;
    EXPECT_EQ(state.torn.empty(), between) << size << ": " << state.torn;
    const std::size_t attempts[] = {0, 0, 1, 1, 2, 2, 1, 2};
    EXPECT_EQ(state.attempts.size(), attempts[records]) << size;
    if (records == 3) { // intent and start of the first
      EXPECT_EQ(state.attempts.at(id_of(1)).pid, 4711);
      EXPECT_EQ(state.attempts.at(id_of(1)).ticks_high, 101u);
    }
    EXPECT_EQ(state.attempts.contains(id_of(1)) && state.attempts.at(id_of(1)).exit.has_value(),
              records == 5);
  }
}

TEST_F(keeper_log, believes_no_record_with_a_flipped_bit) {
  const std::string whole = read(path_);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write(path_, bytes);
    EXPECT_NE(read_keeper_log(path_).torn, "") << at;
  }
}

TEST_F(keeper_log, written_anew_holds_only_what_is_given) {
  auto log = KeeperLog::create(path_, opened_);
  ASSERT_TRUE(log);
  EXPECT_TRUE(read_keeper_log(path_).attempts.empty());
  log->add(record::Intent{id_of(7), Epoch(1)});
  ASSERT_TRUE(log->rewrite(opened_, {record::Intent{id_of(8), Epoch(1)}}));
  log->add(record::Intent{id_of(9), Epoch(1)});
  ASSERT_TRUE(log->flush());
  const LogState state = read_keeper_log(path_);
  EXPECT_FALSE(state.attempts.contains(id_of(7)));
  EXPECT_TRUE(state.attempts.contains(id_of(8)) && state.attempts.contains(id_of(9)));
}

TEST(keeper_marker, is_read_as_written_and_nothing_else_is) {
  const auto marker = parse_marker(marker_value(Incarnation(0xabc), id_of(5, 6, 7)));
  ASSERT_TRUE(marker);
  EXPECT_EQ(marker->keeper, Incarnation(0xabc));
  EXPECT_EQ(marker->id, id_of(5, 6, 7));
  for (const char* bad :
       {"", "0000000000000abc", "0000000000000abc.5.6", "0000000000000abc.5.6.7x", "abc.5.6.7",
        "0000000000000abc.-5.6.7", "0000000000000abc.5.99999999999.7"})
    EXPECT_FALSE(parse_marker(bad)) << bad;
}

// ---- captured output

TEST_F(parts, output_is_head_and_tail_whatever_is_written_and_read) {
  const char* given = std::getenv("REEVE_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(seed) +
               " reeve_agents_tests --gtest_filter=parts.output_is_head*");
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const AttemptId id = id_of(1, static_cast<TaskIndex>(round));
    const std::uint64_t limit = random() % 3 == 0 ? 0 : 1 + random() % 200;
    OutputWriter writer(limit);
    std::string all;
    for (int step = 0; step < 30; ++step) {
      std::string bytes(random() % (random() % 4 == 0 ? 500 : 40), '\0');
      for (char& c : bytes)
        c = static_cast<char>('a' + random() % 26);
      writer.append(dir_, id, Stream::err, bytes);
      all += bytes;
      ASSERT_EQ(writer.written(), all.size());
      const std::uint64_t offset = random() % (all.size() + 10);
      const auto limit_of_chunk = static_cast<std::uint32_t>(1 + random() % 300);
      const auto chunk = read_output(dir_, id, Stream::err, offset, limit_of_chunk);
      ASSERT_TRUE(chunk) << chunk.error().message();
      ASSERT_EQ(chunk->written, all.size());
      ASSERT_LE(chunk->data.data.size(), limit_of_chunk);
      ASSERT_GE(chunk->offset, std::min<std::uint64_t>(offset, all.size()));
      ASSERT_EQ(chunk->data.data,
                all.substr(std::min(chunk->offset, all.size()), chunk->data.data.size()));
      const std::uint64_t tail = std::max(limit, all.size() - std::min(all.size(), limit));
      if (limit > 0 && offset < all.size()) {
        ASSERT_FALSE(chunk->data.data.empty()) << "there is more, and none of it came";
        ASSERT_EQ(chunk->offset, offset < limit ? offset : std::max(offset, tail));
      }
    }
    const std::string path = output_path(dir_, id, Stream::err);
    if (std::filesystem::exists(path)) {
      EXPECT_LE(std::filesystem::file_size(path), 64 + 2 * limit);
    }
  }
}

TEST_F(parts, output_without_a_file_is_empty_and_a_broken_file_is_corrupt) {
  const auto none = read_output(dir_, id_of(1), Stream::out, 0, 100);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->written, 0u);
  for (const std::string& bytes : {std::string("short"), std::string(200, 'x')}) {
    write(output_path(dir_, id_of(1), Stream::out), bytes);
    const auto broken = read_output(dir_, id_of(1), Stream::out, 0, 100);
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, Code::corrupt);
  }
}

TEST_F(parts, a_task_does_not_fail_when_its_output_cannot_be_kept) {
  OutputWriter writer(100);
  writer.append(dir_ + "/nowhere", id_of(1), Stream::out, "hello");
  EXPECT_EQ(writer.error(), ENOENT);
  writer.append(dir_ + "/nowhere", id_of(1), Stream::out, "hello");
  EXPECT_EQ(writer.written(), 10u) << "it is counted all the same";
}

TEST_F(parts, the_oldest_output_goes_when_there_is_too_much) {
  const auto write_output = [&](std::uint64_t job) {
    OutputWriter writer(1'000);
    writer.append(dir_, id_of(job), Stream::out, std::string(500, 'x'));
    return writer.bytes_kept();
  };
  const auto kept = [&](std::uint64_t job) {
    return std::filesystem::exists(output_path(dir_, id_of(job), Stream::out));
  };
  OutputStore store(dir_, 3 * write_output(1), 100);
  for (std::uint64_t job = 1; job <= 5; ++job)
    store.ended(id_of(job), write_output(job));
  EXPECT_FALSE(kept(1) || kept(2));
  EXPECT_TRUE(kept(3) && kept(4) && kept(5));
  store.forget(id_of(4));
  EXPECT_FALSE(kept(4));
  store.ended(id_of(6), write_output(6));
  EXPECT_TRUE(kept(3)) << "what was forgotten takes no room";

  OutputStore next(dir_, 1u << 20, 2); // takes over what is there, at most two attempts
  next.scan();
  EXPECT_EQ(kept(3) + kept(5) + kept(6), 2);
}

TEST_F(parts, output_that_has_been_kept_for_long_enough_is_found_oldest_first) {
  const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const auto put = [&](const AttemptId& id, std::chrono::hours age) {
    const std::string path = output_path(dir_, id, Stream::out);
    write(path, "0123456789");
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
  };
  put(id_of(1), std::chrono::hours(50));
  put(id_of(2), std::chrono::hours(60));
  put(id_of(3), std::chrono::hours(1));
  write(dir_ + "/output/notes.txt", "of somebody else");
  const OldOutputs old = old_outputs(dir_, now - std::chrono::hours(48));
  EXPECT_EQ(old.attempts, (std::vector{id_of(2), id_of(1)}));
  EXPECT_EQ(old.bytes, 20u);
  EXPECT_EQ(old.kept, 1u);
  EXPECT_FALSE(old.more);
  EXPECT_EQ(
    report_of(old, std::chrono::hours(48), false),
    "would remove the output of 2 attempts (20 bytes) last written more than 2d00h ago; 1 younger "
    "one stays");
  EXPECT_TRUE(old_outputs(dir_ + "/nowhere", now).attempts.empty());
}

// ---- specifications of jobs

TEST_F(parts, specifications_outlive_the_agent_until_they_are_dropped) {
  const std::string path = dir_ + "/specs.log";
  JobSpec spec;
  spec.command = {"true"};
  const Raw raw{encode(spec)};
  {
    auto log = SpecLog::open(path);
    ASSERT_TRUE(log);
    for (std::uint64_t job = 1; job <= 3; ++job)
      ASSERT_TRUE(log->put(JobId(job), raw));
    ASSERT_TRUE(log->put(JobId(1), raw)); // again: nothing
    ASSERT_TRUE(log->drop(JobId(2)));
  }
  const std::string whole = read(path);
  {
    auto log = SpecLog::open(path);
    ASSERT_TRUE(log);
    ASSERT_EQ(log->specs().size(), 2u);
    EXPECT_EQ(log->specs().at(JobId(3)).msgpack, raw.msgpack);
    ASSERT_TRUE(log->retain([](JobId job) { return job == JobId(3); }));
    EXPECT_EQ(log->specs().size(), 1u);
    ASSERT_TRUE(log->drop(JobId(3)));
    EXPECT_EQ(std::filesystem::file_size(path), 0u) << "the last one gone: no history is kept";
  }
  std::size_t most = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) { // a torn end is cut off
    write(path, std::string_view(whole).substr(0, size));
    auto log = SpecLog::open(path);
    ASSERT_TRUE(log) << size;
    most = std::max(most, log->specs().size());
    ASSERT_LE(log->specs().size(), 3u);
  }
  EXPECT_EQ(most, 3u);
}

// ---- the socket for people

TEST_F(parts, the_control_socket_answers_and_holds_until_the_end) {
  const std::string path = dir_ + "/agent.sock";
  EXPECT_EQ(ask_agent(dir_, "status", std::chrono::seconds(1)).error().code, Code::unavailable);
  auto server = ControlServer::listen(path);
  ASSERT_TRUE(server);
  Result<std::string> status, stop;
  std::thread asks_status([&] { status = ask_agent(dir_, "status", std::chrono::seconds(30)); });
  std::thread asks_stop([&] { stop = ask_agent(dir_, "stop", std::chrono::seconds(30)); });
  int answered = 0;
  while (answered < 2)
    server->serve([&](std::string_view command) -> ControlServer::Answer {
      ++answered;
      return {"you said " + std::string(command) + "\n", command == "stop"};
    });
  asks_status.join();
  EXPECT_EQ(status.value(), "you said status\n");
  { const ControlServer ends = std::move(*server); }
  asks_stop.join();
  EXPECT_EQ(stop.value(), "you said stop\n");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(parts, a_directory_has_one_agent) {
  auto first = DirectoryLock::take(dir_);
  ASSERT_TRUE(first);
  const auto second = DirectoryLock::take(dir_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_NE(second.error().text.find("pid " + std::to_string(::getpid())), std::string::npos);
}

// ---- executors without a process

std::vector<Finished> collect(Executor& executor, std::int64_t now_us) {
  std::vector<Finished> out;
  EXPECT_TRUE(executor.collect({TimePoint(Duration(now_us)), TimePoint(Duration(now_us))}, out));
  return out;
}
StartTasks tasks_of(const std::string& length, std::uint32_t count, Duration limit = Duration(0)) {
  auto spec = std::make_shared<JobSpec>();
  spec->command = {length};
  spec->time_limit = limit;
  StartTasks tasks;
  tasks.job = JobId(1);
  tasks.spec = std::move(spec);
  tasks.run = {0, count, 1};
  return tasks;
}
constexpr Now at_zero{};

TEST(sleep_executor, wakes_each_when_its_time_has_come) {
  SleepExecutor sleep;
  sleep.start(tasks_of("1000", 2), at_zero);
  EXPECT_EQ(sleep.wake_at(), TimePoint(Duration(1'000)));
  EXPECT_TRUE(collect(sleep, 999).empty());
  const auto ended = collect(sleep, 1'000);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].quiet.size(), 2u);
  EXPECT_FALSE(sleep.wake_at());
}

TEST(sleep_executor, ends_early_when_stopped_and_at_its_limit) {
  SleepExecutor sleep;
  sleep.start(tasks_of("1000000", 2), at_zero);
  sleep.stop({JobId(1), nullptr, {1, 1, 1}, Cause::cancelled, "enough", {}}, at_zero);
  auto ended = collect(sleep, 1);
  ASSERT_EQ(ended.size(), 1u);
  ASSERT_EQ(ended[0].tasks.size(), 1u);
  EXPECT_EQ(ended[0].tasks[0].result.index, 1u);
  EXPECT_EQ(ended[0].tasks[0].result.cause, Cause::cancelled);
  SleepExecutor limited;
  limited.start(tasks_of("1000000", 1, Duration(10)), at_zero);
  ended = collect(limited, 10);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].tasks[0].result.cause, Cause::time_limit);
}

TEST(sleep_executor, says_what_is_wrong_with_its_command) {
  for (const char* bad : {"", "soon", "-1", "1.5", "99999999999999999999"}) {
    SleepExecutor sleep;
    sleep.start(tasks_of(bad, 1), at_zero);
    const auto ended = collect(sleep, 0);
    ASSERT_EQ(ended.size(), 1u) << bad;
    ASSERT_EQ(ended[0].tasks.size(), 1u) << bad;
    EXPECT_EQ(ended[0].tasks[0].result.cause, Cause::start_failed) << bad;
  }
}

// ---- what comes from a master

TEST(agent_wire, takes_what_a_master_says_and_names_what_is_wrong) {
  const auto [header, body] = frames(ResultsAck{{1, 2}}, 7, Epoch(3));
  const auto good = decode_from_master(header, body);
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(good->header.epoch, Epoch(3));
  EXPECT_EQ(std::get<ResultsAck>(good->message).numbers, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_FALSE(decode_from_master("", ""));
  EXPECT_FALSE(decode_from_master(header, body + "x"));
  const auto [heartbeat, beat] = frames(Heartbeat{}, 0, Epoch(3));
  const auto wrong_way = decode_from_master(heartbeat, beat);
  ASSERT_FALSE(wrong_way);
  EXPECT_EQ(wrong_way.error().code, Code::unknown_type);
  for (std::size_t size = 0; size < body.size(); ++size)
    EXPECT_FALSE(decode_from_master(header, std::string_view(body).substr(0, size))) << size;
}

} // namespace
} // namespace reeve::worker
