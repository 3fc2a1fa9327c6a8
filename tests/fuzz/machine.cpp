// What the kernel says of a machine, its processes and its cgroups: whatever it says, amounts stay
// within what can be booked and paths below where cgroups are mounted.
#include "agents/worker/agent_machine.hpp"
#include "agents/worker/cgroup.hpp"
#include "src/util/words.hpp"
#include "tests/fuzz/target.hpp"

namespace {
using namespace reeve;

template<class T> void read_numbers(std::string_view text) {
  const auto numbers = numbers_in<T>(text);
  REQUIRE(numbers.size() <= text.size());
  std::string written;
  for (const T number : numbers)
    written += std::to_string(number) + "\n";
  REQUIRE(numbers_in<T>(written) == numbers);
  REQUIRE(numbers_in<T>(text, 2).size() == std::min<std::size_t>(numbers.size(), 2));
}

void read_counts(std::string_view text) {
  std::size_t bytes = 0;
  for (const std::string_view word : words_in(text)) {
    REQUIRE(!word.empty() && word.find_first_of(white_space) == word.npos);
    bytes += word.size();
  }
  REQUIRE(bytes <= text.size());
  read_numbers<std::uint64_t>(text); // statm, memory.peak
  read_numbers<int>(text);           // children, cgroup.procs
  (void)number_after(text, "oom_kill");
}

void read_places(std::string_view mounts, std::string_view groups) {
  for (const bool root : {false, true})
    for (const auto& place : worker::parse_places(mounts, groups, root)) {
      REQUIRE(place.version == 1 || place.version == 2);
      bool mounted = false;
      for (const std::string_view word : words_in(mounts))
        mounted = mounted || (place.path.starts_with(word) &&
                              (place.path + "/").find("/../", word.size()) == std::string::npos);
      REQUIRE(mounted);
    }
}

void read_use(std::string_view before, std::string_view now) {
  const double part =
    worker::busy_part(worker::parse_processor_time(before), worker::parse_processor_time(now));
  REQUIRE(part >= 0 && part <= 1);
  const auto memory = worker::parse_memory(now);
  REQUIRE(memory.total >= 0 && memory.available >= 0);
}
} // namespace

// A byte: 0: numbers and words, 1: mounts and groups, else /proc/stat twice or /proc/meminfo. The
// first of two has its length (two bytes) before it.
REEVE_FUZZ(machine) {
  fuzz::Pieces pieces(input);
  const auto what = pieces.number(1);
  if (what == 0)
    return read_counts(pieces.rest());
  const std::string_view first = pieces.piece();
  if (what == 1)
    return read_places(first, pieces.rest());
  read_use(first, pieces.rest());
}
