// A gateway core with one bound node and helpers to speak to it. For the tests of this folder.
#pragma once

#include "src/gateway/gateway.hpp"

#include <gtest/gtest.h>

namespace reeve::gateway::test {

constexpr Peer client = 0x100000001, agent = 0x100000002, stranger = 0x100000003;
constexpr std::uint64_t session = 77;
inline const NodeId node{5};
inline const TimePoint start{std::chrono::hours(1'000'000)};

class GatewayTest : public testing::Test {
protected:
  GatewayTest() { gateway_.set_epoch(Epoch(3)); }

  template<class M>
  Outbox say(Peer peer, const M& message, std::uint64_t correlation = 1, Pressure pressure = {}) {
    auto [header, body] = frames(message, correlation);
    return raw(peer, std::move(header), std::move(body), pressure);
  }
  Outbox raw(Peer peer, std::string header, std::string body, Pressure pressure = {}) {
    Outbox out;
    std::vector<net::Message> messages;
    messages.push_back({peer, std::move(header), std::move(body)});
    gateway_.on_messages(std::move(messages), pressure, now_, out);
    return out;
  }
  Outbox effect(ledger::Effect effect) {
    std::vector<ledger::Effect> effects;
    effects.push_back(std::move(effect));
    return effects_(std::move(effects));
  }
  Outbox effects_(std::vector<ledger::Effect> effects) {
    Outbox out;
    gateway_.on_effects(std::move(effects), now_, out);
    return out;
  }
  void bind(Peer peer = agent, std::uint64_t number = session) {
    ledger::NodeBound bound;
    bound.peer = peer;
    bound.session = number;
    bound.reply.node = node;
    effect(bound);
  }
  /// The only message in `out`, decoded.
  template<class M> static M only(const Outbox& out, std::uint64_t correlation = 1) {
    EXPECT_EQ(out.send.size(), 1u);
    if (out.send.size() != 1)
      return {};
    return as<M>(out.send[0], correlation);
  }
  template<class M> static M as(const net::Message& message, std::uint64_t correlation = 1) {
    const auto header = decode<Header>(message.header);
    EXPECT_TRUE(header);
    EXPECT_EQ(name_of(header->type), name_of(M::type));
    EXPECT_EQ(header->correlation, correlation);
    EXPECT_EQ(header->epoch, Epoch(3));
    const auto body = decode<M>(message.body);
    EXPECT_TRUE(body) << body.error().message();
    return body ? *body : M{};
  }
  static bool nothing_passed_on(const Outbox& out) {
    return out.ledger.empty() && out.registry.empty() && out.watchdog.empty() &&
           out.archivist.empty() && out.scheduler.empty();
  }

  Gateway gateway_{Greeting{"cluster", "master", "reeved 0", "tcp://events"}};
  TimePoint now_ = start;
};

} // namespace reeve::gateway::test
