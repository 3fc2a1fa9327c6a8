// A virtual client: the real table of calls (src/client/calls) on a virtual connection, and a
// notebook of what it has submitted under which key. Owned by the simulation.
#pragma once

#include "src/client/calls.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/truth.hpp"

#include <deque>

namespace reeve::sim {

class User final : public Process {
public:
  User(Timeline& timeline, Network& network, Truth& truth, std::uint64_t seed,
       std::size_t masters = 1);
  void start();
  void crash();
  /// Its end of the connection to the master that it talks to now.
  [[nodiscard]] std::size_t host() const { return links_[link_].host; }

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

private:
  struct Link final : Dialer { // to a master; one at a time is wanted
    Link(User& whose, std::size_t which) : user(whose), number(which) {}
    [[nodiscard]] bool can_connect() const override { return user.runs() && user.link_ == number; }
    void on_connected() override { user.on_connected(); }
    void on_disconnected() override { user.on_disconnected(number); }
    void on_frame(const Frame& frame) override { user.on_frame(frame); }
    User& user;
    std::size_t number, host = 0;
  };
  void on_connected();
  void on_disconnected(std::size_t link);
  void on_frame(const Frame& frame);
  void move_on();
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
  std::deque<Link> links_;
  std::size_t link_ = 0; // the one in use
  std::size_t number_ = 0;
  TimePoint stood_; // when its connection last stood, or was begun
  Random random_;
  client::Calls calls_;
  std::map<std::string, Note> notes_; // by key
  std::vector<JobId> jobs_;
  std::set<JobId> waits_; // for their end
  std::uint64_t keys_ = 0;
  bool connected_ = false;
};

} // namespace reeve::sim
