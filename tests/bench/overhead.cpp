// What operators' view costs: the same no-op work on a master with event stream (and a reader of
// it), history and metrics (scraped once a second through a dashboard), and on one with none of
// them, by turns in one run. Told twice: by the clock, and by the processor time of all processes
// of a cluster, what they do behind the last result included, which other work on the machine
// changes less. Where the processors are the bound, the second is the first.
#include "tests/bench/harness.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <cstdio>
#include <map>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace {
using namespace reeve;
using namespace reeve::bench;

constexpr int rounds = 7;
// One array of 4 M tasks is over in a tenth of a second, of which scheduling and waking are as much
// a part as its tasks: a latency. A throughput takes several of them, one behind the other.
constexpr std::uint32_t array_tasks = 4'000'000, arrays = 12, jobs = 50'000;
constexpr double overhead_max = 0.15;

/// Reads /metrics once a second, as Prometheus does at most.
class Scraper {
public:
  explicit Scraper(int port) : thread_([this, port] { loop(port); }) {}
  ~Scraper() {
    over_ = true;
    thread_.join();
  }
  [[nodiscard]] int scrapes() const { return scrapes_; }

private:
  void loop(int port) {
    while (!over_) {
      scrapes_ += get(port) ? 1 : 0;
      for (int k = 0; k < 10 && !over_; ++k)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  static bool get(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string request =
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    std::string answer(65'536, '\0');
    std::size_t got = 0;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 &&
        ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0)
      for (ssize_t n = 1; n > 0; got += static_cast<std::size_t>(std::max<ssize_t>(n, 0)))
        n = ::recv(fd, answer.data(), answer.size(), 0);
    ::close(fd);
    return got > 1'000;
  }
  std::atomic<bool> over_ = false;
  std::atomic<int> scrapes_ = 0;
  std::thread thread_;
};

/// Of a run: how much a second, and what it took of each process.
struct Figures {
  double rate = 0;
  std::map<std::string, double> cpu_us; // of a unit
  [[nodiscard]] double cpu() const {
    double sum = 0;
    for (const auto& [name, us] : cpu_us)
      sum += us;
    return sum;
  }
};

/// A cluster and who looks at it.
struct Side {
  Cluster cluster;
  std::map<std::string, pid_t> programs;
  std::optional<Client> client;
  bool history = false;

  /// Processor seconds so far.
  [[nodiscard]] std::map<std::string, double> used() const {
    std::map<std::string, double> out;
    for (const auto& [name, pid] : programs)
      out[name] = cpu_seconds(pid);
    return out;
  }
  /// Until nothing is left to be done for what has been.
  void settle() {
    if (history) // answers come behind what was recorded before
      or_give_up(client->ask(QueryHistory{}), "history");
    double before = 0, after = 0;
    do {
      before = std::exchange(after, 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      for (const auto& [name, seconds] : used())
        after += seconds;
    } while (after - before > 0.01);
  }
  template<class Work> Figures run(double units, const Work& work) {
    const auto before = used();
    const auto start = Clock::now();
    work(*client);
    Figures figures;
    figures.rate = units / seconds_since(start);
    settle();
    for (const auto& [name, seconds] : used())
      figures.cpu_us[name] = (seconds - before.at(name)) * 1e6 / units;
    return figures;
  }
};

/// So many jobs of so many tasks each. One of one task is three events and three rows of the
/// history.
void run_jobs(Client& client, std::uint32_t count, std::uint32_t tasks) {
  std::vector<JobSpec> specs(count);
  for (JobSpec& spec : specs) {
    spec.executor = "noop";
    spec.count = tasks;
  }
  const auto ids = or_give_up(client.submit(specs, "", {}), "submit");
  for (const auto& ended : or_give_up(client.wait(ids), "wait"))
    if (ended.succeeded != tasks)
      give_up("not all tasks succeeded");
}

/// Figures of both sides, by turns.
struct Comparison {
  std::string name;
  std::vector<Figures> on, off;

  template<class Work> void run(Side& side_on, Side& side_off, double units, const Work& work) {
    off.push_back(side_off.run(units, work));
    on.push_back(side_on.run(units, work));
  }
  template<class Of> static double middle(const std::vector<Figures>& all, const Of& of) {
    std::vector<double> values;
    for (const Figures& figures : all)
      values.push_back(of(figures));
    return median(values);
  }
  void tell() const {
    const auto rate = [](const Figures& figures) { return figures.rate; };
    const auto cpu = [](const Figures& figures) { return figures.cpu(); };
    std::vector<double> ratios; // of neighbours: whatever else the machine does hits both
    for (std::size_t k = 0; k < on.size(); ++k)
      ratios.push_back(on[k].rate / off[k].rate);
    std::printf("  %s: costs %.1f %% by medians, %.1f %% as the median of %zu pairs (wanted: at "
                "most %.0f %%)\n",
                name.c_str(), 100 * (1 - middle(on, rate) / middle(off, rate)),
                100 * (1 - median(ratios)), ratios.size(), 100 * overhead_max);
    std::printf("  processor time of each, on and off, us: %.4g, %.4g (%.1f %% more), of these",
                middle(on, cpu), middle(off, cpu), 100 * (middle(on, cpu) / middle(off, cpu) - 1));
    for (const auto& [program, us] : on.front().cpu_us) {
      const auto of = [&program = program](const Figures& figures) {
        const auto at = figures.cpu_us.find(program);
        return at == figures.cpu_us.end() ? 0 : at->second;
      };
      std::printf(" %s %.4g, %.4g;", program.c_str(), middle(on, of), middle(off, of));
    }
    std::printf("\n");
    say(name, middle(on, rate), "a second", "all off", middle(off, rate),
        {middle(off, rate) * (1 - overhead_max), true});
  }
};
} // namespace

int main() {
  Side off, on;
  off.cluster.start_master({"--history", "none"});
  on.cluster.start_master({"--events", "tcp://127.0.0.1:*"});
  on.history = true;
  for (Side* side : {&off, &on}) {
    side->cluster.start_agent("2");
    side->client = side->cluster.client();
    side->programs = {{"master", side->cluster.master().pid()},
                      {"agent", side->cluster.agent().pid()},
                      {"client", ::getpid()}}; // and the scrapes, which come by turns as well
  }
  const Scratch scratch;
  // Reads every event and prints none of them: nothing leads an operator to print millions.
  const Program reader({"/bin/sh", "-c",
                        "echo reading; exec " + program("reeve") + " -m " + on.cluster.endpoint() +
                          " events --from start --filter sla"},
                       "reading", scratch.path("reader.log"));
  const Program dashboard(
    {program("reeve-dashboard"), "--master", on.cluster.endpoint(), "--listen", "127.0.0.1:*"},
    "serving http://127.0.0.1:", scratch.path("dashboard.log"));
  on.programs.insert({{"reader", reader.pid()}, {"dashboard", dashboard.pid()}});
  const Scraper scraper(std::stoi(dashboard.word()));
  Comparison one_array{"tasks of one no-op array", {}, {}},
    all_arrays{"tasks of " + std::to_string(arrays) + " no-op arrays", {}, {}},
    all_jobs{"no-op jobs of one task", {}, {}};
  for (Side* side : {&off, &on}) // warm
    side->run(1, [](Client& client) { run_jobs(client, 1, array_tasks); });
  for (int k = 0; k < rounds; ++k) { // before there are jobs that must be forgotten meanwhile
    one_array.run(on, off, array_tasks, [](Client& client) { run_jobs(client, 1, array_tasks); });
    all_arrays.run(on, off, double{arrays} * array_tasks,
                   [](Client& client) { run_jobs(client, arrays, array_tasks); });
  }
  for (int k = 0; k < rounds; ++k)
    all_jobs.run(on, off, jobs, [](Client& client) { run_jobs(client, jobs, 1); });
  std::printf("  %d scrapes\n", scraper.scrapes());
  for (const Comparison* comparison : {&one_array, &all_arrays, &all_jobs})
    comparison->tell();
}
