// What an agent and the commands on its machine say to each other, what the sleep executor is told,
// and the file of specifications that an agent leaves for the next one.
#include "agents/worker/agent_logs.hpp"
#include "agents/worker/agent_loop.hpp"
#include "agents/worker/agent_specs.hpp"
#include "agents/worker/executor_simple.hpp"
#include "src/util/text.hpp"
#include "tests/fuzz/target.hpp"

namespace {
using namespace reeve;
using namespace reeve::worker;
using fuzz::named;

void read_sayings(std::string_view text) {
  for (const char between : {'/', ' '})
    if (const auto id = parse_output_task(text, between); named(id)) {
      const auto again = parse_output_task(
        std::to_string(id->job.value) + between + std::to_string(id->index), between);
      REQUIRE(again && *again == *id && id->index < tasks_max);
    }
  if (const auto newest = parse_newest_attempt(text); named(newest)) {
    const auto again = parse_newest_attempt(text_of(*newest));
    REQUIRE(again && again->attempt == newest->attempt && again->runs == newest->runs);
  }
  if (const auto length = sleep_of(split(text, '\0')); named(length))
    REQUIRE(length->count() >= 0);
}

void read_specs(std::string_view bytes) {
  const auto specs = SpecLog::parse(bytes);
  for (const auto& [job, spec] : specs)
    REQUIRE(!spec.msgpack.empty());
  for (std::size_t cut = bytes.size(); cut > 0 && cut + 32 > bytes.size(); --cut)
    REQUIRE(SpecLog::parse(bytes.substr(0, cut - 1)).size() <= specs.size() + 1);
}
} // namespace

// A byte: 0: words, 1: what an agent says of itself, else a file of specifications.
REEVE_FUZZ(agent_words) {
  fuzz::Pieces pieces(input);
  switch (pieces.number(1)) {
  case 0:
    return read_sayings(pieces.rest());
  case 1:
    if (const auto text = status_text(pieces.rest()); named(text))
      REQUIRE(!text->empty());
    return;
  default:
    return read_specs(pieces.rest());
  }
}
