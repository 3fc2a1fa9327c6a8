// 10,000 nodes on sockets of their own that beat by the schedule that the master gives them: what
// that costs the master. Then one node with 1,000 tasks falls silent: how long after the verdict
// all of them have been given to others.
#include "messages/protocol.hpp"
#include "src/client/events.hpp"
#include "tests/bench/harness.hpp"

#include <csignal>
#include <random>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <zmq.hpp>

using namespace reeve;
using namespace reeve::bench;

namespace {

constexpr std::size_t node_count = 10'000, tasks = 1'000;
constexpr std::chrono::seconds measured_for{20};

TimePoint wall_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

class Node {
public:
  Node(zmq::context_t& context, const std::string& endpoint, const std::string& name,
       std::int64_t vcores, std::uint64_t session)
      : socket_(context, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.connect(endpoint);
    beat_.session = session;
    RegisterNode hello;
    hello.name = name;
    hello.incarnation = Incarnation(session | 1);
    hello.session = session;
    hello.capacity.cpu_milli = vcores * 1'000;
    hello.executors = {"sleep"};
    hello.program = "bench";
    send(hello);
  }
  /// Everything that has come. Counts the tasks given.
  void read() {
    zmq::message_t part;
    while (socket_.recv(part, zmq::recv_flags::dontwait)) {
      const auto header = decode<Header>(part.to_string_view());
      std::string body;
      while (part.more()) {
        if (!socket_.recv(part))
          return;
        body = part.to_string();
      }
      if (header)
        take(header->type, body);
    }
  }
  void beat(Clock::time_point now) {
    if (!registered_ || now < next_beat)
      return;
    read();
    send(beat_);
    next_beat = now + period;
  }
  [[nodiscard]] bool registered() const { return registered_; }
  [[nodiscard]] std::uint64_t given() const { return given_; }

  Clock::time_point next_beat{};
  Duration period{1'000'000};

private:
  template<class M> void send(const M& message) {
    const std::string header = encode(Header{protocol_version, M::type, 0, {}}),
                      body = encode(message);
    socket_.send(zmq::buffer(header), zmq::send_flags::sndmore);
    socket_.send(zmq::buffer(body));
  }
  void take(MessageType type, const std::string& body) {
    if (type == MessageType::registered) {
      if (const auto answer = decode<Registered>(body)) {
        registered_ = true;
        period = answer->heartbeat;
      }
    } else if (type == MessageType::assign) {
      if (const auto work = decode<Assign>(body)) {
        beat_.assign_seen = std::max(beat_.assign_seen, work->number);
        for (const AssignedJob& job : work->jobs)
          for (const TaskRun& run : job.runs)
            given_ += run.count;
      }
    }
  }
  zmq::socket_t socket_;
  Heartbeat beat_;
  bool registered_ = false;
  std::uint64_t given_ = 0;
};

/// Processor share of a bare ROUTER socket that takes `rate` messages of a heartbeat's size a
/// second, in a process of its own.
double raw_share(double rate) {
  int ready[2];
  if (::pipe(ready) != 0)
    give_up("pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    zmq::context_t context;
    zmq::socket_t router(context, zmq::socket_type::router);
    router.bind("tcp://127.0.0.1:*");
    const std::string endpoint = router.get(zmq::sockopt::last_endpoint);
    if (::write(ready[1], endpoint.data(), endpoint.size()) < 0)
      ::_exit(1);
    for (zmq::message_t part;;)
      (void)router.recv(part);
  }
  char text[128] = {};
  const auto n = ::read(ready[0], text, sizeof text - 1);
  if (n <= 0)
    give_up("the bare socket does not start");
  double share = 0;
  {
    zmq::context_t context;
    std::vector<zmq::socket_t> peers;
    for (int i = 0; i < 100; ++i) {
      peers.emplace_back(context, zmq::socket_type::dealer);
      peers.back().set(zmq::sockopt::linger, 0);
      peers.back().connect(std::string(text, static_cast<std::size_t>(n)));
    }
    const std::string body(40, 'x');
    const double before = cpu_seconds(child);
    const auto start = Clock::now();
    const int sent = static_cast<int>(rate) * 5;
    for (int i = 0; i < sent; ++i) {
      peers[static_cast<std::size_t>(i) % peers.size()].send(zmq::buffer(body));
      std::this_thread::sleep_until(start + std::chrono::duration<double>(i / rate));
    }
    share = (cpu_seconds(child) - before) / seconds_since(start);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return share;
}

} // namespace

int main() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const double base = raw_share(2'000);

  Cluster cluster;
  cluster.start_master({"--events", "tcp://127.0.0.1:*"});
  zmq::context_t context(2);
  context.set(zmq::ctxopt::max_sockets, static_cast<int>(2 * node_count));
  std::mt19937_64 random(1);
  std::vector<std::unique_ptr<Node>> nodes;
  const auto add = [&](const std::string& name, std::int64_t vcores) {
    nodes.push_back(
      std::make_unique<Node>(context, cluster.endpoint(), name, vcores, random() >> 1));
  };
  const auto turn = [&](auto done) { // everybody beats until it is done
    while (!done()) {
      for (auto& node : nodes)
        if (node)
          node->registered() ? node->beat(Clock::now()) : node->read();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  };
  add("big", static_cast<std::int64_t>(tasks));
  turn([&] { return nodes[0]->registered(); });
  Client client = cluster.client();
  JobSpec spec;
  spec.executor = "sleep";
  spec.command = {"3600000000"};
  spec.count = tasks;
  spec.resources.cpu_milli = 1'000;
  or_give_up(client.submit(spec), "submit");
  turn([&] {
    nodes[0]->read();
    return nodes[0]->given() == tasks;
  });
  const auto start = Clock::now();
  std::size_t waiting = 0;
  for (std::size_t i = 1; i <= node_count; ++i) {
    add("n" + std::to_string(i), 4);
    if (++waiting == 200) { // as machines come up, not all in one moment
      turn([&] { return nodes.back()->registered(); });
      waiting = 0;
    }
  }
  turn([&] {
    return std::ranges::all_of(nodes, [](const auto& node) { return node->registered(); });
  });
  say("  10,000 nodes registered in", seconds_since(start), "s");
  const Duration period = nodes.back()->period;
  say("  heartbeats of a node every", static_cast<double>(period.count()) / 1e6, "s");
  for (auto& node : nodes) { // spread, as they are when they come one by one; the newest period
    node->period = period;
    node->next_beat =
      Clock::now() +
      Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(period.count())));
  }
  const auto for_a_time = [&](std::chrono::seconds time) {
    const auto end = Clock::now() + time;
    turn([&] { return Clock::now() >= end; });
  };
  for_a_time(std::chrono::seconds(6));
  const double before = cpu_seconds(cluster.master().pid());
  const auto from = Clock::now();
  for_a_time(measured_for);
  const double share = (cpu_seconds(cluster.master().pid()) - before) / seconds_since(from);
  say("10,000 nodes beat: share of a core", share * 100, "%", "a bare socket that takes as many",
      base * 100, {20, false});

  EventOptions options;
  options.from = std::nullopt;
  auto events = or_give_up(EventStream::open({cluster.endpoint()}, options), "events");
  nodes[0].reset(); // hangs up
  std::optional<TimePoint> verdict;
  turn([&] {
    for (;;) {
      const auto event = or_give_up(events.next(Duration(0)), "events");
      if (!event)
        return verdict.has_value();
      if (event->kind == "node.lost")
        verdict = event->time;
    }
  });
  turn([&] {
    std::uint64_t given = 0;
    for (auto& node : nodes)
      if (node) {
        node->read();
        given += node->given();
      }
    return given == tasks;
  });
  const double after = static_cast<double>((wall_now() - *verdict).count()) / 1e6;
  say("a lost node's 1,000 tasks given to others, after the verdict", after, "s",
      "one commit and one round trip", raw_commit(cluster.scratch(), 65'536, 50) + raw_round_trip(),
      {1, false});
}
