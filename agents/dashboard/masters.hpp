// Connections to the master for any number of threads: a client is one thread's at a time, so each
// question borrows one. A master that was not there is not tried again for a second, so that a page
// full of questions does not wait for each.
#pragma once

#include "src/client/client.hpp"

#include <mutex>

namespace reeve::dashboard {

class Masters {
public:
  explicit Masters(std::vector<std::string> endpoints) : endpoints_(std::move(endpoints)) {}

  /// Any request; errors as of Client::ask. Answers that do not come within `timeout`: timed_out.
  template<class Request>
  Result<typename AnswerTo<Request>::type> ask(const Request& request,
                                               Duration timeout = std::chrono::seconds(5)) {
    auto client = borrow();
    if (!client)
      return tl::unexpected<Error>(client.error());
    auto answer = (*client)->ask(request, timeout);
    give_back(std::move(*client));
    return answer;
  }
  /// An action, which must not be repeated when its answer is lost.
  Result<Done> act(const ActOnJobs& request);
  [[nodiscard]] const std::vector<std::string>& endpoints() const { return endpoints_; }

private:
  using Clock = std::chrono::steady_clock;
  Result<std::unique_ptr<Client>> borrow();
  void give_back(std::unique_ptr<Client> client);

  const std::vector<std::string> endpoints_;
  std::mutex mutex_; // guards what follows
  std::vector<std::unique_ptr<Client>> idle_;
  std::optional<Error> trouble_; // of the last connect
  Clock::time_point again_;      // not before, when there was trouble
};

} // namespace reeve::dashboard
