// A virtual client: the real table of calls (src/client/calls) on a virtual connection, and a
// notebook of what it has submitted under which key. Owned by the simulation.
#pragma once

#include "src/client/calls.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/truth.hpp"

namespace reeve::sim {

class User final : public Process, public Dialer {
public:
  User(Timeline& timeline, Network& network, Truth& truth, std::uint64_t seed);
  void start();
  void crash();
  [[nodiscard]] std::size_t host() const { return host_; }

  /// Until it is acknowledged, whatever happens.
  void submit(std::vector<JobSpec> jobs);
  /// Must be refused.
  void submit_nonsense(Random& random);
  void act(JobAction action, std::vector<JobId> jobs);
  void take_lease(const std::string& node, Resources resources, Duration duration);
  /// Those without an end.
  void release_leases(const std::string& node);
  void on_node(NodeAction action, const std::string& node);
  void look(Random& random);

  /// Jobs that it was told of.
  [[nodiscard]] const std::vector<JobId>& jobs() const { return jobs_; }
  /// Nothing is unanswered, no end of a job not heard of.
  [[nodiscard]] bool content() const;
  [[nodiscard]] std::string state() const;

  [[nodiscard]] bool can_connect() const override { return runs(); }
  void on_connected() override;
  void on_disconnected() override;
  void on_frame(const Frame& frame) override;

private:
  struct Note {
    Submit request;
    bool acknowledged = false, asked = false;
  };
  using OnAnswer = std::function<void(Result<client::Reply>)>;
  template<class M> void ask(const M& message, OnAnswer on_answer, bool repeatable = true) {
    call(M::type, encode(message), std::move(on_answer), repeatable);
  }
  void call(MessageType type, std::string body, OnAnswer on_answer, bool repeatable);
  void ask_submit(const std::string& key);
  void wait_for(JobId job);
  void pump();
  void tick();
  [[nodiscard]] client::Instant instant() const {
    return client::Instant(timeline_.now().time_since_epoch());
  }

  Network& network_;
  Truth& truth_;
  std::size_t host_;
  Random random_;
  client::Calls calls_;
  std::map<std::string, Note> notes_; // by key
  std::vector<JobId> jobs_;
  std::set<JobId> waits_; // for their end
  std::uint64_t keys_ = 0;
  bool connected_ = false;
};

} // namespace reeve::sim
