// The C++ client of reeve: submit jobs, wait for them, hold resources, ask questions. Programs and
// the command line use it. One thread at a time; nothing happens behind the caller's back: the
// calling thread does all sending and receiving, inside the calls. Nothing throws: every call
// returns a Result, and an Error has a code, the field at fault and a sentence.
//
//   auto client = reeve::Client::connect({"tcp://127.0.0.1:7117"});
//   auto job = client->submit(spec);
//   auto ended = client->wait({*job});
#pragma once

#include "messages/protocol.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace reeve {

struct ClientOptions {
  std::string name;     // who is calling, for the master's log
  bool standby = false; // any master will do: a standby answers questions from what it knows
  Duration connect_timeout = std::chrono::seconds(5); // to find a master that answers
  Duration timeout = std::chrono::seconds(30); // of each call, unless it says otherwise; 0: none
  Duration again =
    std::chrono::seconds(2);        // a call without an answer is sent again after this long
  std::size_t in_flight_max = 4096; // calls not yet answered; submit_async waits at this many
  std::function<bool()>
    interrupted; // when it returns true, waiting ends with timed_out; asked 5 times a second
};

struct WaitOptions {
  Duration timeout{0}; // 0: as long as it takes, through any number of master restarts
  Duration every{0};   // how often progress is told, at most; 0: never
  std::function<void(const std::vector<JobProgress>&)> on_progress;
};

/// What a master answers to a request when all is well.
template<class Request> struct AnswerTo { using type = Done; };
template<> struct AnswerTo<Hello> { using type = Welcome; };
template<> struct AnswerTo<Submit> { using type = Submitted; };
template<> struct AnswerTo<Allocate> { using type = Granted; };
template<> struct AnswerTo<GetConfig> { using type = ConfigValues; };
template<> struct AnswerTo<ListJobs> { using type = JobList; };
template<> struct AnswerTo<ListTasks> { using type = TaskList; };
template<> struct AnswerTo<ListNodes> { using type = NodeList; };
template<> struct AnswerTo<ListLeases> { using type = LeaseList; };
template<> struct AnswerTo<GetStats> { using type = Stats; };
template<> struct AnswerTo<GetMaster> { using type = MasterStatus; };
template<> struct AnswerTo<QueryHistory> { using type = HistoryRows; };
template<> struct AnswerTo<ReadLog> { using type = LogChunk; };
template<> struct AnswerTo<Explain> { using type = Explained; };

class Client {
public:
  /// Finds a master among `endpoints` (tcp://host:port; scheme and port may be left out) and agrees
  /// on the protocol's version. Errors: bad_field (`master`: not an endpoint), io (`master`: none
  /// reached), unknown_version.
  static Result<Client> connect(const std::vector<std::string>& endpoints,
                                ClientOptions options = {});
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// What the master said when the connection was made.
  [[nodiscard]] const Welcome& welcome() const;

  // ---- jobs
  /// One job. Safe against lost replies and master restarts: it carries a random key.
  Result<JobId> submit(const JobSpec& job, Duration timeout = {});
  /// Any number of jobs, in order, in as many messages as it takes. `key` (at most 48 bytes) makes
  /// the whole repeatable by the caller; empty: a random one, so that only repeats within this call
  /// make no second jobs. Jobs that name each other by their place go in one message; error:
  /// too_large when they do not fit.
  Result<std::vector<JobId>> submit(const std::vector<JobSpec>& jobs, const std::string& key = {},
                                    Duration timeout = {});
  /// One message as it is. An empty key becomes a random one.
  Result<Submitted> submit(Submit request, Duration timeout = {});
  /// Sends without waiting for the answer, and returns at once unless `in_flight_max` calls are
  /// unanswered. Under load some may wait to be sent together with those that follow; `poll` and
  /// `drain` send them in any case. `on_done` is called exactly once, from within a later call of
  /// this client, `poll` or `drain` among them.
  Result<void> submit_async(Submit request, std::function<void(Result<Submitted>)> on_done);
  /// Waits for the end of every job. The last progress of each, in the order of `jobs`.
  /// Errors: not_found, timed_out.
  Result<std::vector<JobProgress>> wait(const std::vector<JobId>& jobs,
                                        const WaitOptions& options = {});
  /// Cancel, retry, hold or release. The number of tasks changed. A retry is not sent twice.
  Result<Done> act(const ActOnJobs& request, Duration timeout = {});

  // ---- leases
  /// Resources of a node without a task. An empty key becomes a random one. Errors: no_capacity
  /// (asked, available, capacity), node_down, not_found.
  Result<Granted> allocate(Allocate request, Duration timeout = {});
  Result<Done> release(const Release& request, Duration timeout = {});
  /// A longer time limit from now on.
  Result<Done> renew(LeaseId lease, Duration duration, Duration timeout = {});

  // ---- everything else: questions, nodes, configuration
  /// Sends any request and returns its answer: `client.ask(ListJobs{})`. Sent again when replies
  /// are lost.
  template<class Request>
  Result<typename AnswerTo<Request>::type> ask(const Request& request, Duration timeout = {}) {
    static_assert(!std::is_same_v<Request, Wait>, "use wait()");
    return typed<typename AnswerTo<Request>::type>(
      round_trip(Request::type, encode(request), AnswerTo<Request>::type::type, timeout, true));
  }

  /// Does what is to be done and waits at most `patience` for something to happen.
  Result<void> poll(Duration patience);
  /// Until no call is unanswered. Error: timed_out.
  Result<void> drain(Duration timeout = {});
  /// Calls not yet answered.
  [[nodiscard]] std::size_t in_flight() const;
  /// A connection to a master stands at this moment.
  [[nodiscard]] bool connected() const;
  /// Of the master in use, made whole: tcp://host:port.
  [[nodiscard]] std::string endpoint() const;

private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  Result<std::string> round_trip(MessageType type, std::string body, MessageType wanted,
                                 Duration timeout, bool repeatable);

  template<class Answer> static Result<Answer> typed(Result<std::string> body) {
    if (!body)
      return tl::unexpected<Error>(std::move(body).error());
    auto answer = decode<Answer>(*body);
    if (!answer)
      return fail(Code::bad_message, "",
                  "the master's answer is unreadable: " + answer.error().message());
    return answer;
  }

  std::unique_ptr<Impl> impl_;
};

/// A comma separated list of endpoints, as in $REEVE_MASTER, each made whole: `host` becomes
/// tcp://host:7117.
std::vector<std::string> parse_endpoints(std::string_view text);
/// The error means that no master was there to answer.
inline bool no_master_reached(const Error& error) {
  return error.code == Code::io && error.field == "master";
}

} // namespace reeve
