// A whole master without sockets: what agents and clients would send goes straight to its handler,
// what it sends ends here. Agents answer by themselves, on the master's threads; the test waits for
// what it looks for, with a deadline.
#pragma once

#include "actors/master.hpp"
#include "actors/shell.hpp"
#include "src/master/start.hpp"

#include <condition_variable>
#include <filesystem>
#include <gtest/gtest.h>
#include <mutex>
#include <unistd.h>

namespace reeve::actors {

constexpr auto patience = std::chrono::seconds(20);

/// Who is on the other side of the wire.
class Other {
public:
  explicit Other(net::Peer id) : peer(id) {}
  virtual ~Other() = default;
  /// On one of the master's threads.
  virtual void receive(const Header& header, const std::string& body) = 0;
  const net::Peer peer;
};

class FakeNet {
public:
  Wire wire() {
    Wire wire;
    wire.send = [this](std::vector<net::Message> messages) {
      for (const auto& message : messages) {
        std::shared_ptr<Other> other;
        {
          const std::lock_guard lock(mutex_);
          if (const auto at = others_.find(message.peer); at != others_.end())
            other = at->second;
        }
        if (other)
          other->receive(decode<Header>(message.header).value(), message.body);
      }
    };
    wire.publish = [this](std::vector<net::Publication> news) {
      const std::lock_guard lock(mutex_);
      for (auto& item : news)
        news_.push_back(std::move(item));
      published_.notify_all();
    };
    wire.consumed = [](std::size_t) {};
    wire.counters = [] { return std::map<std::string, std::int64_t>(); };
    return wire;
  }
  void connect(const std::shared_ptr<Other>& other) {
    const std::lock_guard lock(mutex_);
    others_[other->peer] = other;
  }
  void cut(net::Peer peer) {
    const std::lock_guard lock(mutex_);
    others_.erase(peer);
  }
  void set_handler(net::Server::Handler handler) {
    const std::lock_guard lock(mutex_);
    handler_ = std::move(handler);
  }
  template<class M> void say(net::Peer peer, const M& message, std::uint64_t correlation = 0) {
    auto [header, body] = frames(message, correlation);
    std::function<void(std::vector<net::Message>)> received;
    {
      const std::lock_guard lock(mutex_);
      received = handler_.received;
    }
    if (received)
      received({{peer, std::move(header), std::move(body)}});
  }
  void gone(net::Peer peer) {
    const std::lock_guard lock(mutex_);
    if (handler_.gone)
      handler_.gone(peer, "test");
  }
  /// Somebody subscribes to events, or does so no more.
  void subscribe(const std::string& topic, bool begins = true) {
    const std::lock_guard lock(mutex_);
    if (handler_.subscribed)
      handler_.subscribed(topic, begins);
  }
  [[nodiscard]] std::size_t published(const std::string& topic) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
      news_.begin(), news_.end(), [&](const auto& item) { return item.topic == topic; }));
  }
  /// Waits for an event whose topic begins so.
  bool wait_published(std::string_view topic) {
    return wait_news([&](const net::Publication& item) { return item.topic.starts_with(topic); });
  }
  bool wait_news(const std::function<bool(const net::Publication&)>& wanted) {
    std::unique_lock lock(mutex_);
    return published_.wait_for(lock, patience,
                               [&] { return std::any_of(news_.begin(), news_.end(), wanted); });
  }
  [[nodiscard]] std::vector<net::Publication> news() {
    const std::lock_guard lock(mutex_);
    return news_;
  }

private:
  std::mutex mutex_;
  std::map<net::Peer, std::shared_ptr<Other>> others_;
  net::Server::Handler handler_;
  std::vector<net::Publication> news_;
  std::condition_variable published_;
};

/// Runs every task at once. Tasks of executor noop end quietly; what `behave` says of others.
class FakeAgent : public Other {
public:
  using Behaviour = std::function<TaskResult(JobId job, TaskResult good, TaskOutput& output)>;
  FakeAgent(FakeNet& net, net::Peer id, std::string node_name, std::uint64_t its_incarnation = 7)
      : Other(id), name(std::move(node_name)), incarnation(its_incarnation), net_(net) {}

  void start() {
    RegisterNode message;
    message.name = name;
    message.incarnation = Incarnation(incarnation);
    message.session = ++session_;
    message.capacity = capacity;
    message.executors = {"noop", "process"};
    message.program = "fake";
    net_.say(peer, message, 1);
  }
  /// Says nothing any more, and does not even take its leave.
  void die() { dead_ = true; }
  void beat() {
    if (dead_ || !node_)
      return;
    Heartbeat beat;
    beat.session = session_;
    beat.assign_seen = seen_;
    net_.say(peer, beat);
  }
  void receive(const Header& header, const std::string& body) override {
    if (dead_)
      return;
    switch (header.type) {
    case MessageType::registered:
      on(decode<Registered>(body).value());
      break;
    case MessageType::assign:
      on(decode<Assign>(body).value());
      break;
    case MessageType::register_again:
      start();
      break;
    case MessageType::log_request:
      on(decode<LogRequest>(body).value());
      break;
    case MessageType::failed: {
      const std::lock_guard lock(mutex_);
      refused_ = decode<Failed>(body).value();
      changed_.notify_all();
      break;
    }
    default:
      break;
    }
  }
  template<class F> bool wait(F&& f) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, f);
  }
  bool wait_registered() {
    return wait([&] { return node_.load() != 0; });
  }
  bool wait_tasks(std::uint64_t n) {
    return wait([&] { return tasks_.load() >= n; });
  }
  std::optional<Failed> wait_refused() {
    wait([&] { return refused_.has_value(); });
    const std::lock_guard lock(mutex_);
    return refused_;
  }
  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }

  const std::string name;
  const std::uint64_t incarnation;
  Resources capacity{8'000, 1 << 30, 0, {}};
  std::atomic<bool> keeps{false}; // takes tasks and never ends them
  Behaviour behave;
  std::function<std::optional<LogChunk>(const ReadLog&)> logs;

private:
  void on(const Registered& message) {
    const std::lock_guard lock(mutex_);
    node_ = message.node.value;
    heartbeat_ = message.heartbeat;
    seen_ = 0;
    changed_.notify_all();
  }
  void on(const Assign& message) {
    if (message.session != session_)
      return;
    seen_ = message.number;
    for (const auto& spec : message.specs)
      specs_[spec.job] = decode<JobSpec>(spec.spec.msgpack).value();
    Results results;
    results.session = session_;
    results.number = ++results_;
    for (const auto& job : message.jobs) {
      JobResults out{job.job, {}, {}};
      for (const TaskRun& run : job.runs) {
        tasks_ += run.count;
        const TimePoint now = wall_now();
        if (specs_.at(job.job).executor == "noop") {
          out.quiet.push_back({run, now, now});
          continue;
        }
        for (std::uint32_t i = 0; i < run.count; ++i) {
          TaskResult good;
          good.index = run.first + i;
          good.attempt = run.attempt;
          good.started = good.ended = now;
          TaskOutput output{job.job, good.index, good.attempt, {}, {}};
          out.tasks.push_back(behave ? behave(job.job, good, output) : good);
          results.outputs.push_back(std::move(output));
        }
      }
      results.jobs.push_back(std::move(out));
    }
    {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    }
    if (!keeps)
      net_.say(peer, results);
  }
  void on(const LogRequest& message) {
    LogReply reply;
    reply.request = message.request;
    if (logs)
      reply.chunk = logs(message.log);
    if (!reply.chunk)
      reply.text = "no output of that attempt";
    net_.say(peer, reply);
  }

  FakeNet& net_;
  std::atomic<bool> dead_{false};
  std::atomic<std::uint64_t> session_{0}, seen_{0}, tasks_{0}, results_{0};
  std::atomic<std::uint32_t> node_{0};
  std::map<JobId, JobSpec> specs_; // the gateway's thread only
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Failed> refused_;
  Duration heartbeat_{0};
};

class FakeClient : public Other {
public:
  FakeClient(FakeNet& net, net::Peer id) : Other(id), net_(net) {}
  void receive(const Header& header, const std::string& body) override {
    const std::lock_guard lock(mutex_);
    replies_[header.correlation].emplace_back(header.type, body);
    changed_.notify_all();
  }
  /// The first answer of type `Reply` to the question. Anything else that ends it: an error.
  template<class Reply, class M> Result<Reply> ask(const M& question) {
    const std::uint64_t correlation = ++newest_;
    net_.say(peer, question, correlation);
    std::unique_lock lock(mutex_);
    std::size_t looked = 0;
    for (;;) {
      auto& replies = replies_[correlation];
      for (; looked < replies.size(); ++looked) {
        const auto& [type, body] = replies[looked];
        if (type == MessageType::failed) {
          const auto failed = decode<Failed>(body).value();
          return fail(failed.code, failed.field, failed.text);
        }
        if (type != Reply::type)
          continue;
        auto reply = decode<Reply>(body).value();
        if constexpr (std::is_same_v<Reply, Progress>)
          if (!reply.last)
            continue;
        return reply;
      }
      if (changed_.wait_for(lock, patience) == std::cv_status::timeout)
        return fail(Code::timed_out, {}, "no answer");
    }
  }
  JobId submit(JobSpec spec) {
    Submit message;
    message.jobs.push_back(std::move(spec));
    const auto submitted = ask<Submitted>(message);
    EXPECT_TRUE(submitted) << submitted.error().message();
    return submitted ? submitted->first : JobId(0);
  }
  JobId submit(std::uint32_t tasks, const std::string& executor = "noop") {
    JobSpec spec;
    spec.name = "j";
    spec.user = "ann";
    spec.executor = executor;
    spec.command = {"true"};
    spec.count = tasks;
    spec.resources.cpu_milli = 100;
    return submit(std::move(spec));
  }
  JobProgress wait(JobId job) {
    Wait question;
    question.jobs = {job};
    const auto progress = ask<Progress>(question);
    EXPECT_TRUE(progress) << progress.error().message();
    return progress ? progress->jobs.at(0) : JobProgress{};
  }
  Result<Done> set(std::map<std::string, std::string> values) {
    SetConfig message;
    message.values = std::move(values);
    return ask<Done>(message);
  }
  /// Asks again and again until `good` likes the answer.
  template<class Reply, class M, class F> bool await(const M& question, F&& good) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end)
      if (good(ask<Reply>(question)))
        return true;
    return false;
  }

private:
  FakeNet& net_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t newest_ = 0;
  std::map<std::uint64_t, std::vector<std::pair<MessageType, std::string>>> replies_;
};

/// The master's process: its journal and its history outlive it.
class WholeMaster : public testing::Test {
protected:
  WholeMaster() {
    std::string pattern =
      (std::filesystem::exists("/dev/shm") ? std::filesystem::path("/dev/shm")
                                           : std::filesystem::temp_directory_path()) /
      "reeve-actors-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~WholeMaster() override {
    kill();
    std::filesystem::remove_all(folder);
  }
  void SetUp() override { start(); }
  void start() {
    config::MasterOptions options;
    options.cluster = "test";
    options.name = "m1";
    options.settings = settings;
    auto begun = master::begin(journal::open_memory(store), options, wall_now());
    ASSERT_TRUE(begun) << begun.error().message();
    system_config = std::make_unique<SystemConfig>();
    system = std::make_unique<caf::actor_system>(*system_config);
    MasterParts parts;
    parts.greeting = {"test", "m1", "reeved test", ""};
    parts.wire = net.wire();
    parts.ledger = std::move(begun->ledger);
    parts.journal = std::move(begun->journal);
    parts.history = folder + "/history.db";
    parts.ledger_options.master = "m1";
    parts.on_down = [](const std::string& actor, const std::string& reason) {
      ADD_FAILURE() << actor << " ended: " << reason;
    };
    master = std::make_unique<Master>(*system, std::move(parts));
    net.set_handler(master->handler());
    master->start();
  }
  /// In an orderly way.
  void stop() {
    if (master) {
      EXPECT_TRUE(master->stop(patience));
    }
    kill();
  }
  void kill() {
    net.set_handler({});
    master.reset();
    system.reset();
  }
  std::shared_ptr<FakeAgent> add_agent(const std::string& name,
                                       std::function<void(FakeAgent&)> setup = {}) {
    auto agent = std::make_shared<FakeAgent>(net, next_peer++, name);
    if (setup)
      setup(*agent);
    net.connect(agent);
    agent->start();
    return agent;
  }
  std::shared_ptr<FakeClient> add_client() {
    auto client = std::make_shared<FakeClient>(net, next_peer++);
    net.connect(client);
    return client;
  }
  std::string folder;
  std::map<std::string, std::string> settings;
  std::shared_ptr<journal::MemoryStore> store = journal::make_memory_store();
  FakeNet net;
  net::Peer next_peer = 1;
  std::unique_ptr<SystemConfig> system_config;
  std::unique_ptr<caf::actor_system> system;
  std::unique_ptr<Master> master;
};

} // namespace reeve::actors
