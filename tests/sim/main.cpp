// Runs the simulation for many seeds, for the saved ones, or for one; makes a failing seed small.
// Called by ctest, `make soak` and people. Exit code: 0 all good, 1 a promise was broken, 2 usage.
#include "tests/sim/world.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <spdlog/spdlog.h>
#include <sstream>
#include <unistd.h>

namespace reeve::sim {
namespace {

struct Flags {
  std::uint64_t first = 1, count = 1;
  double seconds = 0;
  std::string saved, program;
  bool shared = false, twice = false, no_shrink = false, keep_going = false, expect_broken = false,
       trace = false;
  std::vector<unsigned> without;
};

std::array<char, 256> running_now; // for the signal handler

/// A check of our own or of the library ended the process: say how to see it again.
void on_abort(int signal) {
  const std::size_t size = ::strnlen(running_now.data(), running_now.size());
  static_cast<void>(!::write(STDERR_FILENO, running_now.data(), size));
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

std::string listed(const std::set<unsigned>& numbers) {
  std::string text;
  for (const unsigned n : numbers)
    text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}
std::string command_of(const Flags& flags, const RunOptions& options) {
  return "REEVE_SEED=" + std::to_string(options.seed) + " " + flags.program +
         (options.shared ? " --shared" : "") + " --trace" +
         (options.without.empty() ? "" : " --without " + listed(options.without));
}

Outcome run_one(const Flags& flags, const RunOptions& options) {
  std::snprintf(running_now.data(), running_now.size(), "sim: the process ended in: %s\n",
                command_of(flags, options).c_str());
  return run(options);
}

/// Leaves out whatever the fault does not need: halves first, then one by one (delta debugging,
/// Zeller and Hildebrandt, 2002).
RunOptions shrunk(const Flags& flags, RunOptions options, const Outcome& outcome) {
  std::vector<unsigned> left;
  for (const auto& [number, name] : outcome.happened)
    if (!options.without.contains(number))
      left.push_back(number);
  for (std::size_t piece = std::max<std::size_t>(left.size() / 2, 1);; piece /= 2) {
    for (std::size_t at = 0; at < left.size();) {
      RunOptions less = options;
      const std::size_t end = std::min(at + piece, left.size());
      less.without.insert(left.begin() + static_cast<std::ptrdiff_t>(at),
                          left.begin() + static_cast<std::ptrdiff_t>(end));
      if (!run_one(flags, less).fault) {
        at = end;
        continue;
      }
      options = less;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(at),
                 left.begin() + static_cast<std::ptrdiff_t>(end));
    }
    if (piece <= 1)
      return options;
  }
}

void say(const char* which, const Flags& flags, const RunOptions& options, const Outcome& outcome) {
  std::printf("%s: seed %llu, %.3f s: %s\n", which, static_cast<unsigned long long>(options.seed),
              static_cast<double>((outcome.fault->at - time_begin).count()) / 1e6,
              outcome.fault->what.c_str());
  for (const auto& [number, name] : outcome.happened)
    if (!options.without.contains(number))
      std::printf("  %u %s\n", number, name.c_str());
  std::printf("  repeat with: %s\n", command_of(flags, options).c_str());
}

struct Sum {
  std::uint64_t runs = 0, events = 0, entries = 0;
  Duration virtual_time{0};
};

bool good(const Flags& flags, RunOptions options, Sum& sum) {
  Outcome outcome = run_one(flags, options);
  ++sum.runs;
  sum.events += outcome.events;
  sum.entries += outcome.entries;
  sum.virtual_time += outcome.virtual_time;
  if (!outcome.fault && flags.twice && run_one(flags, options).print != outcome.print)
    outcome.fault = Truth::Broken{"the same seed gave two different runs", time_begin};
  if (!outcome.fault)
    return true;
  say("sim: broken", flags, options, outcome);
  if (flags.no_shrink || flags.expect_broken || options.trace || flags.twice)
    return false;
  options = shrunk(flags, options, outcome);
  say("sim: enough for it", flags, options, run_one(flags, options));
  std::printf("  line for tests/sim/seeds.txt: %llu %s\n",
              static_cast<unsigned long long>(options.seed), listed(options.without).c_str());
  return false;
}

/// Lines of a seed and, behind it, what is left out: `4711 3,5,1002`; # begins a comment.
bool read_saved(const std::string& path, std::vector<RunOptions>& out) {
  std::ifstream file(path);
  if (!file)
    return false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    RunOptions options;
    std::string numbers;
    if (!(words >> options.seed))
      continue;
    words >> numbers;
    std::istringstream list(numbers);
    for (std::string number; std::getline(list, number, ',');)
      options.without.insert(static_cast<unsigned>(std::stoul(number)));
    out.push_back(std::move(options));
  }
  return true;
}

int run_all(const Flags& flags) {
  std::vector<RunOptions> todo;
  if (!flags.saved.empty() && !read_saved(flags.saved, todo)) {
    std::fprintf(stderr, "sim: cannot read %s\n", flags.saved.c_str());
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Sum sum;
  bool all_good = true;
  if (flags.saved.empty()) {
    RunOptions options;
    options.without = {flags.without.begin(), flags.without.end()};
    options.trace = flags.trace;
    options.shared = flags.shared;
    for (std::uint64_t n = 0; (all_good || flags.keep_going) &&
                              (flags.seconds > 0 ? passed() < flags.seconds : n < flags.count);
         ++n) {
      options.seed = flags.first + n;
      all_good &= good(flags, options, sum);
    }
  }
  for (RunOptions& options : todo) {
    options.shared = flags.shared;
    all_good &= good(flags, options, sum);
  }
  const double cpu = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  std::printf(
    "sim: %llu seeds from %llu: %.0f s of virtual time in %.1f s of processor time, %.0f "
    "to 1; %llu events, %llu entries\n",
    static_cast<unsigned long long>(sum.runs), static_cast<unsigned long long>(flags.first),
    static_cast<double>(sum.virtual_time.count()) / 1e6, cpu,
    static_cast<double>(sum.virtual_time.count()) / 1e6 / std::max(cpu, 1e-3),
    static_cast<unsigned long long>(sum.events), static_cast<unsigned long long>(sum.entries));
  return all_good != flags.expect_broken ? 0 : 1;
}

} // namespace
} // namespace reeve::sim

int main(int argc, char** argv) {
  using namespace reeve::sim;
  Flags flags;
  flags.program = argv[0];
  CLI::App app("A whole cluster in one thread, from a seed");
  app.add_option("--first", flags.first, "the first seed");
  app.add_option("--count", flags.count, "how many seeds");
  app.add_option("--seconds", flags.seconds, "go on for so long instead");
  app.add_option("--saved", flags.saved, "the seeds of a file");
  app.add_option("--without", flags.without, "leave these happenings out")->delimiter(',');
  app.add_flag("--shared", flags.shared, "several masters over an etcd");
  app.add_flag("--twice", flags.twice, "each seed twice: both runs must be the same");
  app.add_flag("--no-shrink", flags.no_shrink, "a failing seed is left as it is");
  app.add_flag("--expect-broken", flags.expect_broken, "a seed must fail: the program is broken");
  app.add_flag("--keep-going", flags.keep_going, "go on after a failing seed");
  app.add_flag("--trace", flags.trace, "print what happens");
  CLI11_PARSE(app, argc, argv);
  if (const char* seed = std::getenv("REEVE_SEED")) {
    flags.first = std::strtoull(seed, nullptr, 10);
    flags.count = 1;
  }
  spdlog::set_level(spdlog::level::off); // of the takeover
  std::signal(SIGABRT, on_abort);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return run_all(flags);
}
