// A gateway with one node bound to it hears whatever three peers say. Whoever is not that node
// cannot speak for it, and each message is answered at most once.
#include "src/gateway/gateway.hpp"
#include "tests/fuzz/target.hpp"

namespace {
using namespace reeve;
constexpr gateway::Peer agent = 0x100000001;
constexpr std::uint64_t session = 77;
const NodeId node{5};

void bind(gateway::Gateway& core, TimePoint now, gateway::Outbox& out) {
  ledger::NodeBound bound;
  bound.peer = agent;
  bound.session = session;
  bound.reply.node = node;
  core.on_effects({bound}, now, out);
}
} // namespace

// Messages, each: a byte (peer, and how much time has passed), a header and a body, both with their
// lengths (two bytes) before them.
REEVE_FUZZ(gateway) {
  gateway::Gateway core({"cluster", "master", "program", ""});
  core.set_epoch(Epoch(3));
  TimePoint now{std::chrono::hours(1'000'000)};
  gateway::Outbox out;
  bind(core, now, out);
  fuzz::Pieces pieces(input);
  while (!pieces.empty()) {
    const auto what = pieces.number(1);
    const gateway::Peer peer = agent + what % 3;
    now += std::chrono::milliseconds(what / 3 * 20);
    std::string header(pieces.piece());
    std::string body(pieces.piece());
    out = {};
    std::vector<net::Message> messages;
    messages.push_back({peer, std::move(header), std::move(body)});
    core.on_messages(std::move(messages), {}, now, out);
    REQUIRE(out.send.size() <= 1);
    for (const auto& answer : out.send) {
      REQUIRE(answer.peer == peer);
      REQUIRE(decode<Header>(answer.header));
    }
    if (peer != agent) {
      REQUIRE(out.watchdog.empty());
      for (const auto& item : out.ledger)
        REQUIRE(std::holds_alternative<gateway::Asked>(item) ||
                std::holds_alternative<gateway::Stepped>(item));
    }
    if (what % 32 == 31)
      core.tick(now, out);
  }
}
