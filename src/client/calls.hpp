// Which requests are under way: what is still to be sent, when to send it again, and how each
// ended. Owned by Connection. Knows no socket and no clock: every call brings the time, so tests
// lose and delay replies without waiting.
#pragma once

#include "messages/protocol.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

namespace reeve::client {

using Instant = std::chrono::steady_clock::time_point;
constexpr Instant never = Instant::max();

/// The field of an error about the jobs of one message whose first is the `begin`th of all:
/// `jobs[3].name` of one from 100 on is `jobs[103].name`. Other fields stay as they are.
std::string counted_on(std::string_view field, std::size_t begin);

struct Reply {
  MessageType type = MessageType::failed;
  std::string body;
};
/// Told how a call ended. A stream's is told each reply, and returns true when that was the last;
/// an error always is.
using OnReply = std::function<bool(Result<Reply>)>;

struct Call {
  MessageType type = MessageType::hello;
  std::string body;
  Instant deadline = never;
  Duration again{
    0}; // sent again after so long without a reply, doubling up to eight times that; 0: never
  bool repeatable = true; // sending twice does no harm: sent again when the connection was lost
  bool stream = false;    // several replies; sent again each `again`, replies or not
  OnReply on_reply;
};

class Calls {
public:
  /// Returns the correlation id. The call waits to be sent.
  std::uint64_t add(Call call);
  /// Forgets a call without telling it.
  void cancel(std::uint64_t correlation);

  /// What goes out next: one call, or with `bundles` several in one message. No `calls`: nothing
  /// does.
  struct Outgoing {
    std::string header, body;
    std::size_t calls = 0;
  };
  [[nodiscard]] Outgoing next_message(bool bundles);
  /// The first `n` that wait to be sent have been.
  void sent(std::size_t n, Instant now);
  [[nodiscard]] bool has_unsent() { return !next_unsent(1, 0).empty(); }
  [[nodiscard]] std::size_t unsent_size() const { return unsent_.size(); } // at most

  /// Both frames of a reply, or of a bundle of them. Returns false when they are not from a master:
  /// unreadable, or nobody waits for them.
  bool reply(std::string_view header, std::string body, Instant now);
  /// Replies to what was sent will not come: repeatable calls are to be sent again, the others end
  /// with `timed_out`.
  void disconnected();
  /// Ends what is past its deadline, prepares what must be sent again. `no_master` is the error of
  /// calls that were never sent.
  void tick(Instant now, const Error& no_master);
  [[nodiscard]] Instant next_due() const { return next_due_; }

  [[nodiscard]] std::size_t size() const { return calls_.size(); }
  [[nodiscard]] Epoch epoch() const { return epoch_; } // the highest seen
  /// Sendings in a row that no reply followed: a measure for "this master is not answering".
  [[nodiscard]] std::uint32_t unanswered() const { return unanswered_; }
  /// The master said that it is not the leader, since last asked.
  [[nodiscard]] bool sent_elsewhere() const { return sent_elsewhere_; }
  void forget_unanswered() { unanswered_ = 0, sent_elsewhere_ = false; }

private:
  enum class Stage : std::uint8_t {
    unsent,
    sent,
    waiting
  }; // waiting: busy or not the leader, to be sent at `due`
  struct Entry {
    Call call;
    Stage stage = Stage::unsent;
    Instant due = never; // sent: send again; waiting: send
    std::uint32_t times = 0;
    Error refusal; // the last busy or not_leader, told when time runs out
  };
  std::vector<std::pair<std::uint64_t, const Call*>> next_unsent(std::size_t most,
                                                                 std::size_t bytes);
  bool reply_alone(const Header& header, std::string body, Instant now);
  void finish(std::uint64_t correlation, Result<Reply> result);
  void to_unsent(std::uint64_t correlation, Entry& entry);
  bool put_off(Entry& entry, const Failed& failed, Instant now);
  Error expired(const Entry& entry, const Error& no_master) const;

  std::unordered_map<std::uint64_t, Entry> calls_;
  std::deque<std::uint64_t> unsent_; // may hold ids that have ended meanwhile
  std::uint64_t last_ = 0;
  Instant next_due_ = never; // not later than the first that is due
  Epoch epoch_;
  std::uint32_t unanswered_ = 0;
  bool sent_elsewhere_ = false;
};

} // namespace reeve::client
