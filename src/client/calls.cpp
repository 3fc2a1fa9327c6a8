// The table of requests under way. See calls.hpp.
#include "src/client/calls.hpp"

#include <algorithm>
#include <charconv>

namespace reeve::client {
namespace {
constexpr Duration busy_pause_min = std::chrono::milliseconds(5);
constexpr Duration busy_pause_default = std::chrono::milliseconds(100);
constexpr std::uint32_t doublings_max = 3;
} // namespace

std::string counted_on(std::string_view field, std::size_t begin) {
  constexpr std::string_view jobs = "jobs[";
  std::size_t index = 0;
  if (!field.starts_with(jobs))
    return std::string(field);
  const char* const last = field.data() + field.size();
  const auto [end, error] = std::from_chars(field.data() + jobs.size(), last, index);
  if (error != std::errc{} || end == last || *end != ']')
    return std::string(field);
  return std::string(jobs) + std::to_string(begin + index) + std::string(end, last);
}

std::uint64_t Calls::add(Call call) {
  const std::uint64_t correlation = ++last_;
  next_due_ = std::min(next_due_, call.deadline);
  Entry& entry = calls_[correlation];
  entry.call = std::move(call);
  unsent_.push_back(correlation);
  return correlation;
}

void Calls::cancel(std::uint64_t correlation) {
  calls_.erase(correlation);
}

/// The next calls to be sent, at most `most` and about `bytes`.
std::vector<std::pair<std::uint64_t, const Call*>> Calls::next_unsent(std::size_t most,
                                                                      std::size_t bytes) {
  std::vector<std::pair<std::uint64_t, const Call*>> next;
  std::size_t total = 0;
  for (std::size_t i = 0; i < unsent_.size() && next.size() < most && total <= bytes;) {
    const auto at = calls_.find(unsent_[i]);
    if (at == calls_.end() || at->second.stage != Stage::unsent) {
      unsent_.erase(unsent_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    total += at->second.call.body.size();
    if (next.empty() || total <= bytes)
      next.emplace_back(unsent_[i], &at->second.call);
    ++i;
  }
  return next;
}

Calls::Outgoing Calls::next_message(bool bundles) {
  constexpr std::size_t bytes_max = 256u << 10;
  const auto next = next_unsent(bundles ? static_cast<std::size_t>(bundled_max) : 1, bytes_max);
  const auto head = [this](MessageType type, std::uint64_t correlation) {
    return encode(Header{protocol_version, type, correlation, epoch_});
  };
  Outgoing out;
  out.calls = next.size();
  if (next.empty())
    return out;
  if (next.size() == 1) {
    out.header = head(next[0].second->type, next[0].first);
    out.body = next[0].second->body;
    return out;
  }
  Bundle bundle;
  bundle.messages.reserve(next.size());
  for (const auto& [correlation, call] : next)
    bundle.messages.push_back({{head(call->type, correlation)}, {call->body}});
  out.header = head(Bundle::type, 0);
  out.body = encode(bundle);
  return out;
}

void Calls::sent(std::size_t n, Instant now) {
  for (; n > 0; --n) {
    Entry& entry = calls_.at(unsent_.front());
    unsent_.pop_front();
    entry.stage = Stage::sent;
    const std::uint32_t doublings = entry.call.stream ? 0 : std::min(entry.times, doublings_max);
    entry.due = entry.call.again.count() > 0 ? now + entry.call.again * (1U << doublings) : never;
    ++entry.times;
    next_due_ = std::min(next_due_, entry.due);
  }
}

void Calls::to_unsent(std::uint64_t correlation, Entry& entry) {
  entry.stage = Stage::unsent;
  entry.due = never;
  unsent_.push_back(correlation);
}

void Calls::finish(std::uint64_t correlation, Result<Reply> result) {
  const auto at = calls_.find(correlation);
  if (at == calls_.end())
    return;
  // Taken out first: whoever is told may well start the next call.
  const OnReply on_reply = std::move(at->second.call.on_reply);
  calls_.erase(at);
  on_reply(std::move(result));
}

/// Refusals that mean "later": the call waits instead of ending.
bool Calls::put_off(Entry& entry, const Failed& failed, Instant now) {
  if (failed.code != Code::busy && failed.code != Code::not_leader)
    return false;
  sent_elsewhere_ = sent_elsewhere_ || failed.code == Code::not_leader;
  Duration pause = failed.retry_after.count() > 0 ? failed.retry_after : busy_pause_default;
  // A tenth of jitter by the number of tries, so that calls put off together do not come back
  // together for ever.
  pause = std::max(pause, busy_pause_min) * (10 + (last_ + entry.times) % 3) / 10;
  if (now + pause >= entry.call.deadline)
    return false;
  entry.refusal = Error{failed.code, failed.field, failed.text};
  entry.stage = Stage::waiting;
  entry.due = now + pause;
  next_due_ = std::min(next_due_, entry.due);
  return true;
}

bool Calls::reply(std::string_view header_bytes, std::string body, Instant now) {
  const auto header = decode<Header>(header_bytes);
  if (!header)
    return false;
  if (header->type != MessageType::bundle)
    return reply_alone(*header, std::move(body), now);
  auto bundle = decode<Bundle>(body);
  if (!bundle)
    return false;
  bool all = true;
  for (Bundled& one : bundle->messages) {
    const auto inner = decode<Header>(one.header.data);
    all &= inner && reply_alone(*inner, std::move(one.body.data), now);
  }
  return all;
}

bool Calls::reply_alone(const Header& header, std::string body, Instant now) {
  epoch_ = std::max(epoch_, header.epoch);
  const auto at = calls_.find(header.correlation);
  if (at == calls_.end())
    return false;
  unanswered_ = 0;
  if (header.type == MessageType::failed) {
    auto failed = decode<Failed>(body);
    if (!failed) {
      finish(at->first, fail(Code::bad_message, "",
                             "the master's refusal is unreadable: " + failed.error().message()));
    } else if (!put_off(at->second, *failed, now)) {
      finish(at->first, fail(failed->code, std::move(failed->field), std::move(failed->text)));
    }
    return true;
  }
  if (header.version != protocol_version) {
    finish(at->first,
           fail(Code::unknown_version, "",
                "the master answered in protocol version " + std::to_string(header.version) +
                  ", this program speaks " + std::to_string(protocol_version)));
    return true;
  }
  if (!at->second.call.stream) {
    finish(at->first, Reply{header.type, std::move(body)});
    return true;
  }
  const std::uint64_t correlation = at->first;
  const OnReply on_reply = at->second.call.on_reply; // a copy: it may cancel its own call
  if (on_reply(Reply{header.type, std::move(body)}))
    calls_.erase(correlation);
  return true;
}

void Calls::disconnected() {
  std::vector<std::uint64_t> lost;
  for (auto& [correlation, entry] : calls_) {
    if (entry.stage != Stage::sent)
      continue;
    if (entry.call.repeatable)
      to_unsent(correlation, entry);
    else
      lost.push_back(correlation);
  }
  std::sort(unsent_.begin(), unsent_.end()); // in the order they were made
  std::sort(lost.begin(), lost.end());
  for (const std::uint64_t correlation : lost)
    finish(correlation,
           fail(Code::timed_out, "",
                "the connection was lost before the answer came; it may or may not be done"));
}

Error Calls::expired(const Entry& entry, const Error& no_master) const {
  if (entry.refusal.code != Code::internal)
    return entry.refusal;
  if (entry.times == 0)
    return no_master;
  std::string text = "no answer to " + std::string(name_of(entry.call.type)) + " in time";
  if (!entry.call.repeatable)
    text += "; it may or may not be done";
  return Error{Code::timed_out, "", std::move(text)};
}

void Calls::tick(Instant now, const Error& no_master) {
  if (now < next_due_)
    return;
  next_due_ = never;
  std::vector<std::uint64_t> ended;
  for (auto& [correlation, entry] : calls_) {
    if (entry.call.deadline <= now) {
      ended.push_back(correlation);
      continue;
    }
    if (entry.due <= now) {
      const bool silent = entry.stage == Stage::sent && !entry.call.stream;
      unanswered_ += silent ? 1 : 0;
      if (entry.stage == Stage::waiting || entry.call.repeatable)
        to_unsent(correlation, entry);
      else
        entry.due = never;
    }
    next_due_ = std::min({next_due_, entry.due, entry.call.deadline});
  }
  std::sort(ended.begin(), ended.end());
  for (const std::uint64_t correlation : ended)
    if (const auto at = calls_.find(correlation); at != calls_.end())
      finish(correlation, tl::unexpected<Error>(expired(at->second, no_master)));
}

} // namespace reeve::client
