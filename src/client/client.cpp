// Calls in terms of requests and replies. See client.hpp; the socket is in connection.cpp.
#include "src/client/client.hpp"

#include "src/client/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/random.h>

namespace reeve {
namespace {

using Clock = std::chrono::steady_clock;
using client::Instant;

constexpr std::size_t chunk_jobs = 10'000;
constexpr std::size_t chunk_bytes = 4u << 20;
constexpr std::size_t together_jobs = 100'000; // of one Submit
constexpr std::size_t key_bytes = 16;
constexpr std::size_t flush_alone = 32;    // with fewer under way, each goes out at once
constexpr std::size_t flush_batch = 128;   // under load, so many go out together
constexpr std::size_t wait_jobs = 100'000; // of one Wait
constexpr Duration wait_again =
  std::chrono::seconds(20); // the master forgets waits that are not repeated

Instant deadline_after(Duration timeout) {
  return timeout.count() > 0 ? Clock::now() + timeout : client::never;
}

/// Sixteen bytes of the system's randomness, fetched a page at a time: a call for each key would
/// cost more than the submit.
Result<std::string> random_key() {
  thread_local std::array<char, 4096> pool{};
  thread_local std::size_t left = 0;
  while (left < key_bytes) {
    const ssize_t n = getrandom(pool.data(), pool.size(), 0);
    if (n > 0)
      left = static_cast<std::size_t>(n);
    else if (errno != EINTR)
      return fail(Code::io, "key", "the system gives no random bytes");
  }
  left -= key_bytes;
  return std::string(pool.data() + left, key_bytes);
}

Error unexpected_answer(MessageType got, MessageType request) {
  return Error{Code::bad_message, "",
               "the master answered " + std::string(name_of(request)) + " with " +
                 std::string(name_of(got)) + " (" + std::to_string(static_cast<unsigned>(got)) +
                 ")"};
}

} // namespace

struct Client::Impl {
  ClientOptions options;
  std::unique_ptr<client::Connection> connection;
  Welcome welcome;

  [[nodiscard]] Duration timeout(Duration given) const {
    return given.count() > 0 ? given : options.timeout;
  }

  /// One call with one reply: waits until it has ended.
  Result<client::Reply> exchange(MessageType type, std::string body, Duration timeout,
                                 bool repeatable);
  Result<std::vector<JobProgress>> wait_for(std::vector<JobId> jobs, const WaitOptions& options,
                                            Instant deadline);
};

Result<client::Reply> Client::Impl::exchange(MessageType type, std::string body, Duration timeout,
                                             bool repeatable) {
  std::optional<Result<client::Reply>> outcome;
  client::Call call;
  call.type = type;
  call.body = std::move(body);
  call.deadline = deadline_after(timeout);
  call.again = repeatable ? options.again : Duration(0);
  call.repeatable = repeatable;
  call.on_reply = [&outcome](Result<client::Reply> reply) {
    outcome = std::move(reply);
    return true;
  };
  const std::uint64_t correlation = connection->calls().add(std::move(call));
  while (!outcome) {
    auto pumped = connection->pump(std::chrono::seconds(1));
    if (!pumped && !outcome) {
      connection->calls().cancel(correlation);
      return tl::unexpected<Error>(pumped.error());
    }
  }
  return std::move(*outcome);
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const std::vector<std::string>& endpoints, ClientOptions options) {
  auto impl = std::make_unique<Impl>();
  auto connection =
    client::Connection::open({.endpoints = endpoints, .interrupted = options.interrupted});
  if (!connection)
    return tl::unexpected<Error>(connection.error());
  impl->options = std::move(options);
  impl->connection = std::move(*connection);
  Hello hello;
  hello.versions.assign(spoken_versions.begin(), spoken_versions.end());
  hello.name = impl->options.name;
  hello.standby = impl->options.standby;
  Client client(std::move(impl));
  auto welcome = client.ask(hello, client.impl_->options.connect_timeout);
  if (!welcome) {
    Error error = std::move(welcome).error();
    if (error.code == Code::timed_out &&
        error.text != "interrupted") { // something listens there and says nothing
      error = client.impl_->connection->no_master();
      error.text += ": something listens there, and does not answer as a master does";
    }
    return tl::unexpected<Error>(std::move(error));
  }
  client.impl_->welcome = std::move(*welcome);
  client.impl_->connection->welcomed(encode(hello), client.impl_->welcome.bundles);
  return client;
}

const Welcome& Client::welcome() const {
  return impl_->welcome;
}
std::size_t Client::in_flight() const {
  return impl_->connection->calls().size();
}
bool Client::connected() const {
  return impl_->connection->connected();
}
std::string Client::endpoint() const {
  return impl_->connection->endpoint();
}
Result<void> Client::poll(Duration patience) {
  return impl_->connection->pump(patience);
}

Result<std::string> Client::round_trip(MessageType type, std::string body, MessageType wanted,
                                       Duration timeout, bool repeatable) {
  auto reply = impl_->exchange(type, std::move(body), impl_->timeout(timeout), repeatable);
  if (!reply)
    return tl::unexpected<Error>(std::move(reply).error());
  if (reply->type != wanted)
    return tl::unexpected<Error>(unexpected_answer(reply->type, type));
  return std::move(reply->body);
}

Result<Submitted> Client::submit(Submit request, Duration timeout) {
  if (request.key.data.empty() && !request.dry_run) {
    auto key = random_key();
    if (!key)
      return tl::unexpected<Error>(key.error());
    request.key.data = std::move(*key);
  }
  return ask(request, timeout);
}

Result<JobId> Client::submit(const JobSpec& job, Duration timeout) {
  Submit request;
  request.jobs.push_back(job);
  return submit(std::move(request), timeout).map([](const Submitted& s) { return s.first; });
}

Result<std::vector<JobId>> Client::submit(const std::vector<JobSpec>& jobs, const std::string& key,
                                          Duration timeout) {
  if (key.size() > 48)
    return fail(Code::bad_field, "key",
                "size must be at most 48, got " + std::to_string(key.size()));
  std::vector<JobId> ids;
  std::string base = key;
  if (base.empty()) {
    auto made = random_key();
    if (!made)
      return tl::unexpected<Error>(made.error());
    base = std::move(*made);
  }
  const bool together = std::any_of(jobs.begin(), jobs.end(), [](const JobSpec& job) {
    return std::any_of(job.after.begin(), job.after.end(),
                       [](const Dependency& d) { return !d.job; });
  });
  for (std::size_t begin = 0; begin < jobs.size();) {
    Submit request;
    std::size_t bytes = 0;
    std::size_t end = begin;
    while (end < jobs.size() && (together || (end - begin < chunk_jobs && bytes < chunk_bytes))) {
      bytes += encode(jobs[end]).size();
      request.jobs.push_back(jobs[end++]);
    }
    if (together && (request.jobs.size() > together_jobs ||
                     bytes + 1024 > static_cast<std::size_t>(impl_->welcome.frame_bytes_max)))
      return fail(Code::too_large, "jobs",
                  "jobs that wait for each other must fit into one message: at most " +
                    std::to_string(together_jobs) + " jobs and " +
                    std::to_string(impl_->welcome.frame_bytes_max) + " bytes, got " +
                    std::to_string(request.jobs.size()) + " and " + std::to_string(bytes));
    // Each message has a key of its own; how jobs are divided depends on the jobs alone, so a
    // repeat divides them alike.
    request.key.data = begin == 0 && end == jobs.size() ? base : base + "#" + std::to_string(begin);
    auto done = submit(std::move(request), timeout);
    if (!done) {
      Error error = std::move(done).error();
      error.field =
        client::counted_on(error.field, begin); // the master counts from the start of the message
      return tl::unexpected<Error>(std::move(error));
    }
    for (std::uint64_t k = 0; k < end - begin; ++k)
      ids.emplace_back(done->first.value + k);
    begin = end;
  }
  return ids;
}

Result<void> Client::submit_async(Submit request, std::function<void(Result<Submitted>)> on_done) {
  if (request.key.data.empty() && !request.dry_run) {
    auto key = random_key();
    if (!key)
      return tl::unexpected<Error>(key.error());
    request.key.data = std::move(*key);
  }
  client::Call call;
  call.type = Submit::type;
  call.body = encode(request);
  call.deadline = deadline_after(impl_->options.timeout);
  call.again = impl_->options.again;
  call.on_reply = [on_done = std::move(on_done)](Result<client::Reply> reply) {
    if (!reply)
      on_done(tl::unexpected<Error>(std::move(reply).error()));
    else if (reply->type != Submitted::type)
      on_done(tl::unexpected<Error>(unexpected_answer(reply->type, Submit::type)));
    else
      on_done(typed<Submitted>(std::move(reply->body)));
    return true;
  };
  while (impl_->connection->calls().size() >= impl_->options.in_flight_max)
    if (auto pumped = impl_->connection->pump(std::chrono::seconds(1)); !pumped)
      return pumped;
  client::Calls& calls = impl_->connection->calls();
  calls.add(std::move(call));
  if (calls.size() < flush_alone || calls.unsent_size() >= flush_batch)
    impl_->connection->flush();
  return {};
}

Result<void> Client::drain(Duration timeout) {
  const Instant deadline = deadline_after(timeout);
  while (in_flight() > 0) {
    if (Clock::now() >= deadline)
      return fail(Code::timed_out, "", std::to_string(in_flight()) + " calls are not answered");
    const Duration left = deadline == client::never
                            ? std::chrono::seconds(1)
                            : std::chrono::ceil<Duration>(deadline - Clock::now());
    if (auto pumped = poll(left); !pumped)
      return pumped;
  }
  return {};
}

Result<std::vector<JobProgress>> Client::Impl::wait_for(std::vector<JobId> jobs,
                                                        const WaitOptions& wait, Instant deadline) {
  std::vector<JobProgress> all(jobs.size());
  std::unordered_map<JobId, std::size_t> place;
  for (std::size_t k = 0; k < jobs.size(); ++k) {
    place[jobs[k]] = k;
    all[k].job = jobs[k];
  }
  std::optional<Result<void>> outcome;
  client::Call call;
  call.type = Wait::type;
  Wait request;
  request.jobs = std::move(jobs);
  request.every = wait.every;
  call.body = encode(request);
  call.deadline = deadline;
  call.again = wait_again;
  call.stream = true;
  call.on_reply = [&](Result<client::Reply> reply) {
    if (!reply) {
      outcome = tl::unexpected<Error>(std::move(reply).error());
      return true;
    }
    auto progress =
      reply->type == Progress::type
        ? decode<Progress>(reply->body)
        : Result<Progress>(tl::unexpected<Error>(unexpected_answer(reply->type, Wait::type)));
    if (!progress) {
      outcome = fail(Code::bad_message, "",
                     "the master's answer is unreadable: " + progress.error().message());
      return true;
    }
    for (const JobProgress& job : progress->jobs)
      if (const auto at = place.find(job.job); at != place.end())
        all[at->second] = job;
    if (wait.on_progress)
      wait.on_progress(all);
    if (progress->last)
      outcome = Result<void>();
    return progress->last;
  };
  const std::uint64_t correlation = connection->calls().add(std::move(call));
  while (!outcome) {
    auto pumped = connection->pump(std::chrono::seconds(1));
    if (!pumped && !outcome) {
      connection->calls().cancel(correlation);
      return tl::unexpected<Error>(pumped.error());
    }
  }
  if (!*outcome)
    return tl::unexpected<Error>(outcome->error());
  return all;
}

Result<std::vector<JobProgress>> Client::wait(const std::vector<JobId>& jobs,
                                              const WaitOptions& options) {
  const Instant deadline = deadline_after(options.timeout);
  std::vector<JobProgress> all;
  all.reserve(jobs.size());
  for (std::size_t begin = 0; begin < jobs.size(); begin += wait_jobs) {
    const std::size_t end = std::min(jobs.size(), begin + wait_jobs);
    std::vector<JobId> part(jobs.begin() + static_cast<std::ptrdiff_t>(begin),
                            jobs.begin() + static_cast<std::ptrdiff_t>(end));
    auto ended = impl_->wait_for(std::move(part), options, deadline);
    if (!ended)
      return ended;
    all.insert(all.end(), ended->begin(), ended->end());
  }
  return all;
}

Result<Done> Client::act(const ActOnJobs& request, Duration timeout) {
  // Cancel, hold and release say how things shall be; a second retry could start a task that failed
  // again meanwhile.
  return typed<Done>(round_trip(ActOnJobs::type, encode(request), Done::type, timeout,
                                request.action != JobAction::retry));
}

Result<Granted> Client::allocate(Allocate request, Duration timeout) {
  if (request.key.data.empty()) {
    auto key = random_key();
    if (!key)
      return tl::unexpected<Error>(key.error());
    request.key.data = std::move(*key);
  }
  return ask(request, timeout);
}

Result<Done> Client::release(const Release& request, Duration timeout) {
  // Not repeated: the second time the lease is not found, which would read as if the first had
  // failed.
  return typed<Done>(round_trip(Release::type, encode(request), Done::type, timeout, false));
}

Result<Done> Client::renew(LeaseId lease, Duration duration, Duration timeout) {
  auto reply =
    impl_->exchange(Renew::type, encode(Renew{lease, duration}), impl_->timeout(timeout), true);
  if (!reply)
    return tl::unexpected<Error>(std::move(reply).error());
  if (reply->type == Granted::type) // the lease as it is now is an answer as well
    return typed<Granted>(std::move(reply->body)).map([](const Granted&) { return Done{1, ""}; });
  if (reply->type != Done::type)
    return tl::unexpected<Error>(unexpected_answer(reply->type, Renew::type));
  return typed<Done>(std::move(reply->body));
}

std::vector<std::string> parse_endpoints(std::string_view text) {
  return client::endpoint_list(text);
}

} // namespace reeve
