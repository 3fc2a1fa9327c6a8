// See harness.hpp.
#include "tests/bench/harness.hpp"

#include "src/util/text.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <zmq.hpp>

extern char** environ;

namespace reeve::bench {

std::string program(const std::string& name) {
  const char* folder = std::getenv("REEVE_BIN");
  if (folder == nullptr)
    give_up("set REEVE_BIN to the folder of the programs");
  return std::string(folder) + "/" + name;
}

namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words)
    out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE)
    give_up(std::string("sqlite: ") + sqlite3_errmsg(db));
}

/// Sends back what it gets, until it gets an empty message.
class Echo {
public:
  explicit Echo(zmq::context_t& context) : socket_(context, zmq::socket_type::router) {
    socket_.set(zmq::sockopt::sndhwm, 0);
    socket_.set(zmq::sockopt::rcvhwm, 0);
    socket_.bind("tcp://127.0.0.1:*");
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
    thread_ = std::thread([this] { run(); });
  }
  ~Echo() { thread_.join(); }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

private:
  void run() {
    for (zmq::message_t id, body;;) {
      (void)socket_.recv(id);
      (void)socket_.recv(body);
      if (body.size() == 0)
        return;
      socket_.send(id, zmq::send_flags::sndmore);
      socket_.send(body, zmq::send_flags::none);
    }
  }
  zmq::socket_t socket_;
  std::string endpoint_;
  std::thread thread_;
};

struct Echoed {
  zmq::context_t context{1};
  Echo echo{context};
  zmq::socket_t socket{context, zmq::socket_type::dealer};
  Echoed() {
    socket.set(zmq::sockopt::linger, 1'000);
    socket.set(zmq::sockopt::sndhwm, 0);
    socket.set(zmq::sockopt::rcvhwm, 0);
    socket.connect(echo.endpoint());
    round_trip(); // the connection stands
  }
  ~Echoed() { socket.send(zmq::message_t(), zmq::send_flags::none); }
  void send() { socket.send(zmq::message_t(64), zmq::send_flags::none); }
  void receive() { (void)socket.recv(answer); }
  void round_trip() {
    send();
    receive();
  }
  zmq::message_t answer;
};

void spawn_one(const posix_spawnattr_t& attributes) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
    give_up("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  char name[] = "true";
  char* argv[] = {name, nullptr};
  pid_t pid = 0;
  if (::posix_spawn(&pid, "/bin/true", &actions, &attributes, argv, environ) != 0)
    give_up("posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  const rlimit core{0, 0};
  ::prlimit(pid, RLIMIT_CORE, &core, nullptr);
  std::array<char, 512> buffer;
  for (const int fd : {out[0], err[0]}) {
    while (::read(fd, buffer.data(), buffer.size()) > 0) {
    }
    ::close(fd);
  }
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
}

/// Processes started here and not reaped; also read by a signal handler.
std::array<std::atomic<pid_t>, 16> running{};

void note_start(pid_t pid) {
  for (auto& slot : running)
    if (pid_t none = 0; slot.compare_exchange_strong(none, pid))
      return;
}
void note_end(pid_t pid) {
  for (auto& slot : running)
    if (slot.compare_exchange_strong(pid, 0))
      return;
}
void on_signal(int signal) {
  for (auto& slot : running)
    if (const pid_t pid = slot; pid != 0)
      ::kill(pid, SIGTERM);
  ::_exit(128 + signal);
}

void kill_process(pid_t pid) {
  int status = 0;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  note_end(pid);
}
void end_process(pid_t pid) {
  ::kill(pid, SIGTERM);
  const auto start = Clock::now();
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (seconds_since(start) > 10)
      return kill_process(pid);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  note_end(pid);
}

std::string plain(double figure) {
  char text[32];
  std::snprintf(text, sizeof text, figure < 10'000 ? "%.4g" : "%.0f", figure);
  return figure < 10'000 ? text : format_count(figure);
}

} // namespace

void give_up(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n", why.c_str());
  for (auto& slot : running)
    if (const pid_t pid = slot; pid != 0)
      end_process(pid);
  std::exit(1);
}

Scratch::Scratch() {
  const char* folder = std::getenv("TMPDIR");
  std::string pattern = std::string(folder != nullptr ? folder : "/tmp") + "/reeve-bench.XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr)
    give_up(pattern + ": " + std::strerror(errno));
  root_ = pattern;
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
}
Scratch::~Scratch() {
  std::error_code error;
  std::filesystem::remove_all(root_, error);
}

Program::Program(const std::vector<std::string>& command, const std::string& ready,
                 const std::string& log) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    give_up("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<std::string> words = command;
  const int failed =
    ::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, pointers(words).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  out_ = ends[0];
  if (failed != 0)
    give_up(command[0] + ": " + std::strerror(failed));
  note_start(pid_);
  std::string text;
  const auto start = Clock::now();
  while (seconds_since(start) < 60) {
    pollfd item{out_, POLLIN, 0};
    std::array<char, 4096> buffer;
    if (::poll(&item, 1, 1'000) <= 0)
      continue;
    const ssize_t n = ::read(out_, buffer.data(), buffer.size());
    if (n <= 0)
      break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
    for (const auto& line : split(text, '\n'))
      if (line.starts_with(ready)) {
        word_ = line.substr(ready.size());
        return;
      }
  }
  give_up(command[0] + " did not say '" + ready + "'; its log: " + log);
}

Program& Program::operator=(Program&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(out_, other.out_);
  std::swap(word_, other.word_);
  return *this;
}
void Program::kill() {
  if (pid_ > 0)
    kill_process(pid_);
  close();
}
void Program::end() {
  if (pid_ > 0)
    end_process(pid_);
  close();
}
void Program::close() {
  if (out_ >= 0)
    ::close(out_);
  pid_ = out_ = -1;
}

void Cluster::start_master(const std::vector<std::string>& flags) {
  std::vector<std::string> command{
    program("reeved"), "--state", scratch_.path("master"), "--listen", endpoint_,
    "--log-level",     "warn"};
  if (std::find(flags.begin(), flags.end(), "--events") == flags.end())
    command.insert(command.end(), {"--events", ""});
  command.insert(command.end(), flags.begin(), flags.end());
  master_ = Program(command, "listening on ", scratch_.path("master.log"));
  endpoint_ = master_.word();
}
void Cluster::start_agent(const std::string& vcores) {
  const std::string name = "n" + std::to_string(agents_.size() + 1);
  agents_.emplace_back(std::vector<std::string>{program("reeve-agent"), "--master", endpoint_,
                                                "--name", name, "--state", scratch_.path(name),
                                                "--vcores", vcores, "--memory", "4GiB",
                                                "--log-level", "warning"},
                       "registered with", scratch_.path(name + ".log"));
}
Client Cluster::client(ClientOptions options) {
  return or_give_up(Client::connect({endpoint_}, std::move(options)), "connect");
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double raw_commit(const Scratch& scratch, std::size_t bytes, int times) {
  sqlite3* db = nullptr;
  const std::string path = scratch.path("raw.db");
  check(sqlite3_open(path.c_str(), &db), db);
  check(sqlite3_exec(db,
                     "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA wal_autocheckpoint=4096; CREATE TABLE IF NOT EXISTS e(seq INTEGER "
                     "PRIMARY KEY, body BLOB)",
                     nullptr, nullptr, nullptr),
        db);
  sqlite3_stmt* insert = nullptr;
  check(sqlite3_prepare_v2(db, "INSERT INTO e(body) VALUES(?)", -1, &insert, nullptr), db);
  const std::string body(bytes, 'x');
  std::vector<double> took;
  for (int i = 0; i < times; ++i) {
    const auto start = Clock::now();
    sqlite3_bind_blob(insert, 1, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
    check(sqlite3_step(insert), db);
    check(sqlite3_reset(insert), db);
    took.push_back(seconds_since(start));
  }
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return median(std::move(took));
}

double raw_round_trip(int times) {
  Echoed pair;
  std::vector<double> took;
  for (int i = 0; i < times; ++i) {
    const auto start = Clock::now();
    pair.round_trip();
    took.push_back(seconds_since(start));
  }
  return median(std::move(took));
}

double raw_pipelined(std::size_t in_flight, int times) {
  Echoed pair;
  const auto start = Clock::now();
  for (std::size_t i = 0; i < in_flight; ++i)
    pair.send();
  for (int i = 0; i < times; ++i) {
    pair.receive();
    pair.send();
  }
  const double took = seconds_since(start);
  for (std::size_t i = 0; i < in_flight; ++i)
    pair.receive();
  return times / took;
}

double raw_spawns(int threads, int times) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID); // as every task has one of its own
  const auto start = Clock::now();
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (int i = 0; i < times / threads; ++i)
        spawn_one(attributes);
    });
  for (auto& worker : workers)
    worker.join();
  const double took = seconds_since(start);
  posix_spawnattr_destroy(&attributes);
  return times / took;
}

void say(const std::string& name, double figure, const std::string& unit) {
  std::printf("%-44s %10s %s\n", name.c_str(), plain(figure).c_str(), unit.c_str());
  std::fflush(stdout);
}
void say(const std::string& name, double figure, const std::string& unit,
         const std::string& baseline, double baseline_figure, const Goal& goal) {
  say(name, figure, unit);
  say("  baseline: " + baseline, baseline_figure, unit);
  const bool reached = goal.at_least ? figure >= goal.value : figure <= goal.value;
  std::printf("  ratio %.3g, wanted: %s %s %s: %s\n", figure / baseline_figure,
              goal.at_least ? "at least" : "at most", plain(goal.value).c_str(), unit.c_str(),
              reached ? "reached" : "MISSED");
  std::fflush(stdout);
}
double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}
double percentile(std::vector<double> values, double part) {
  if (values.empty())
    return 0;
  const auto at = static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

} // namespace reeve::bench
