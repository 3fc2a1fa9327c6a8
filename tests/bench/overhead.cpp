// What operators' view costs: the same no-op work on a master with event stream (and a reader of
// it), history and metrics (scraped once a second through a dashboard), and on one with none of
// them, by turns in one run.
#include "tests/bench/harness.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <cstdio>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {
using namespace reeve;
using namespace reeve::bench;

constexpr int rounds = 7;
constexpr std::uint32_t array_tasks = 4'000'000, jobs = 50'000;
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

/// Tasks a second of one array, through one agent.
double run_array(Client& client) {
  JobSpec spec;
  spec.executor = "noop";
  spec.count = array_tasks;
  const auto start = Clock::now();
  const JobId job = or_give_up(client.submit(spec), "submit");
  if (or_give_up(client.wait({job}), "wait").at(0).succeeded != array_tasks)
    give_up("not all tasks succeeded");
  return array_tasks / seconds_since(start);
}

/// Jobs a second, each of one task: every job is two events and two rows of the history.
double run_jobs(Client& client) {
  std::vector<JobSpec> specs(jobs);
  for (JobSpec& spec : specs)
    spec.executor = "noop";
  const auto start = Clock::now();
  const auto ids = or_give_up(client.submit(specs, "", {}), "submit");
  for (const auto& ended : or_give_up(client.wait(ids), "wait"))
    if (ended.succeeded != 1)
      give_up("not all jobs succeeded");
  return jobs / seconds_since(start);
}

void compare(const char* name, const std::vector<double>& on, const std::vector<double>& off) {
  std::vector<double> ratios; // of neighbours: whatever else the machine does hits both
  for (std::size_t k = 0; k < on.size(); ++k)
    ratios.push_back(on[k] / off[k]);
  std::printf("  %s: costs %.1f %% (median of %zu pairs; wanted: at most %.0f %%)\n", name,
              100 * (1 - median(ratios)), ratios.size(), 100 * overhead_max);
  say(name, median(on), "a second, all on", "all off", median(off),
      {median(off) * (1 - overhead_max), true});
}
} // namespace

int main() {
  Cluster off, on;
  off.start_master({"--history", "none"});
  on.start_master({"--events", "tcp://127.0.0.1:*"});
  off.start_agent("2");
  on.start_agent("2");
  Client client_off = off.client(), client_on = on.client();
  const Scratch scratch;
  // Reads every event and prints none of them: nothing leads an operator to print millions.
  const Program reader({"/bin/sh", "-c",
                        "echo reading; exec " + program("reeve") + " -m " + on.endpoint() +
                          " events --from start --filter sla"},
                       "reading", scratch.path("reader.log"));
  const Program dashboard(
    {program("reeve-dashboard"), "--master", on.endpoint(), "--listen", "127.0.0.1:*"},
    "serving http://127.0.0.1:", scratch.path("dashboard.log"));
  const Scraper scraper(std::stoi(dashboard.word()));
  std::vector<double> array_on, array_off, jobs_on, jobs_off;
  run_array(client_off); // warm
  run_array(client_on);
  for (int k = 0; k < rounds; ++k) {
    array_off.push_back(run_array(client_off));
    array_on.push_back(run_array(client_on));
    jobs_off.push_back(run_jobs(client_off));
    jobs_on.push_back(run_jobs(client_on));
  }
  std::printf("  %d scrapes\n", scraper.scrapes());
  compare("tasks of a no-op array", array_on, array_off);
  compare("no-op jobs of one task", jobs_on, jobs_off);
}
