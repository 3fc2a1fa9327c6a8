// 10,000 nodes on sockets of their own that beat by the schedule that the master gives them: what
// that costs the master. Then one node with 1,000 tasks falls silent: how long after the verdict
// all of them have been given to others.
#include "messages/protocol.hpp"
#include "src/client/events.hpp"
#include "tests/bench/harness.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <zmq.hpp>

using namespace reeve;
using namespace reeve::bench;

namespace {

constexpr std::size_t processes = 4, tasks = 1'000;
std::size_t node_count = 10'000; // or the first argument, which must be a multiple of 4
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

/// What the parent and the processes that play the nodes tell each other.
struct Shared {
  std::atomic<std::uint64_t> registered{0}, given{0}, period_us{0};
  std::atomic<bool> spread{false}; // all are there: beat evenly from now on
};

/// Plays `count` nodes until it is killed.
[[noreturn]] void play(Shared& shared, const std::string& endpoint, std::size_t first,
                       std::size_t count) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  zmq::context_t context(1);
  context.set(zmq::ctxopt::max_sockets, static_cast<int>(2 * count));
  std::mt19937_64 random(first);
  std::vector<std::unique_ptr<Node>> nodes;
  std::size_t registered = 0, said = 0;
  std::uint64_t told = 0;
  bool spread = false;
  for (auto next_look = Clock::now();;) {
    if (nodes.size() < count &&
        nodes.size() - registered < 100) // as machines come up, not all at once
      nodes.push_back(std::make_unique<Node>(
        context, endpoint, "n" + std::to_string(first + nodes.size()), 4, random() >> 1));
    const auto now = Clock::now();
    while (registered < nodes.size() &&
           (nodes[registered]->read(), nodes[registered]->registered()))
      ++registered;
    if (shared.spread && !std::exchange(spread, true))
      for (auto& node : nodes) {
        node->period = nodes.back()->period; // as told when all were there
        node->next_beat = now + Duration(static_cast<std::int64_t>(
                                  random() % static_cast<std::uint64_t>(node->period.count())));
      }
    for (std::size_t i = 0; i < registered; ++i)
      nodes[i]->beat(now);
    if (now >= next_look) {
      next_look = now + std::chrono::milliseconds(50);
      std::uint64_t given = 0;
      for (auto& node : nodes) {
        node->read();
        given += node->given();
      }
      shared.given += given - std::exchange(told, given);
    }
    shared.registered += registered - std::exchange(said, registered);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc > 1)
    node_count = std::strtoul(argv[1], nullptr, 10);
  auto* memory =
    ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    give_up("mmap");
  Shared& shared = *new (memory) Shared;
  const double base = raw_share(2'000);

  Cluster cluster;
  cluster.start_master({"--events", "tcp://127.0.0.1:*"});
  std::vector<pid_t> players;
  const auto start_players = [&] { // several: a node takes two descriptors here
    for (std::size_t i = 0; i < processes; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0)
        play(shared, cluster.endpoint(), i * node_count / processes, node_count / processes);
      players.push_back(pid);
    }
  };
  zmq::context_t context;
  std::optional<Node> big;
  big.emplace(context, cluster.endpoint(), "big", static_cast<std::int64_t>(tasks), 12'345);
  const auto turn = [&](auto done) { // the large node beats until it is done
    while (!done()) {
      if (big)
        big->registered() ? big->beat(Clock::now()) : big->read();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  };
  turn([&] { return big->registered(); });
  JobSpec spec;
  spec.executor = "sleep";
  spec.command = {"3600000000"};
  spec.count = tasks;
  spec.resources.cpu_milli = 1'000;
  {
    Client client = cluster.client();
    or_give_up(client.submit(spec), "submit");
  }
  turn([&] {
    big->read();
    return big->given() == tasks;
  });
  const auto start = Clock::now();
  start_players();
  turn([&, next = std::uint64_t{1'000}]() mutable {
    if (shared.registered >= next) {
      std::fprintf(stderr, "  %llu nodes\n", static_cast<unsigned long long>(next));
      next += 1'000;
    }
    return shared.registered == node_count;
  });
  say("  " + std::to_string(node_count) + " nodes registered in", seconds_since(start), "s");
  shared.spread = true;
  const auto for_a_time = [&](std::chrono::seconds time) {
    const auto end = Clock::now() + time;
    turn([&] { return Clock::now() >= end; });
  };
  for_a_time(std::chrono::seconds(6));
  const double before = cpu_seconds(cluster.master().pid());
  const auto from = Clock::now();
  for_a_time(measured_for);
  const double share = (cpu_seconds(cluster.master().pid()) - before) / seconds_since(from);
  say(std::to_string(node_count) + " nodes beat: share of a core", share * 100, "%",
      "a bare socket that takes as many", base * 100, {20, false});

  auto events = or_give_up(EventStream::open({cluster.endpoint()}, {}), "events");
  big.reset(); // hangs up
  std::optional<TimePoint> verdict;
  turn([&] {
    for (;;) {
      const auto event = or_give_up(events.next(Duration(1000)), "events");
      if (!event)
        return verdict.has_value();
      if (event->kind == "node.lost")
        verdict = event->time;
    }
  });
  turn([&] { return shared.given == tasks; });
  const double after = static_cast<double>((wall_now() - *verdict).count()) / 1e6;
  say("a lost node's 1,000 tasks given to others, after the verdict", after, "s",
      "one commit and one round trip", raw_commit(cluster.scratch(), 65'536, 50) + raw_round_trip(),
      {1, false});
  for (const pid_t pid : players) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}
