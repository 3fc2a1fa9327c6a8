// An agent hears whatever a master says. It keeps going, and what it has to do stays possible.
#include "agents/worker/agent_wire.hpp"
#include "tests/fuzz/target.hpp"

// Messages, each: a byte (how much time has passed), a header and a body, both with their lengths
// (two bytes) before them.
REEVE_FUZZ(agent) {
  using namespace reeve;
  using namespace reeve::worker;
  AgentConfig config;
  config.name = "n";
  config.incarnation = Incarnation(1);
  config.capacity = {4'000, 8LL << 30, 0, {}};
  config.executors = {"process", "noop"};
  config.masters = {"a"};
  AgentCore core(config);
  TimePoint now{std::chrono::hours(1'000'000)};
  Actions actions;
  core.connected(0, now);
  core.step(now, actions);
  fuzz::Pieces pieces(input);
  for (int n = 0; n < 64 && !pieces.empty(); ++n) {
    now += std::chrono::milliseconds(pieces.number(1) * 20);
    const auto header = pieces.piece();
    auto incoming = decode_from_master(header, pieces.piece());
    if (!incoming)
      continue;
    // A fuzzer cannot guess the session.
    const std::uint64_t session = core.links()[0].session;
    if (auto* assign = std::get_if<Assign>(&incoming->message); assign && assign->session == 7)
      assign->session = session;
    if (auto* registered = std::get_if<Registered>(&incoming->message);
        registered && registered->session == 7)
      registered->session = session;
    core.receive(0, incoming->header.epoch, std::move(incoming->message), now);
    for (int k = 0; k < 8; ++k) {
      core.step(now, actions);
      if (actions.empty())
        break;
      for (const auto& start : actions.start) {
        REQUIRE(start.spec != nullptr && start.run.count > 0);
        REQUIRE(start.items.empty() || start.items.size() == start.run.count);
      }
      for (const auto& send : actions.send) {
        const auto frames = encode_to_master(send.message, core.epoch());
        REQUIRE(decode<Header>(frames.first));
      }
    }
  }
}
