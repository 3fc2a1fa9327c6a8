// See masters.hpp.
#include "agents/dashboard/masters.hpp"

namespace reeve::dashboard {
namespace {
constexpr auto pause_after_trouble = std::chrono::seconds(1);
constexpr std::size_t idle_max = 16;
} // namespace

Result<std::unique_ptr<Client>> Masters::borrow() {
  {
    const std::scoped_lock lock(mutex_);
    if (!idle_.empty()) {
      auto client = std::move(idle_.back());
      idle_.pop_back();
      return client;
    }
    if (trouble_ && Clock::now() < again_)
      return tl::unexpected<Error>(*trouble_);
  }
  ClientOptions options;
  options.name = "reeve-dashboard";
  options.connect_timeout = std::chrono::seconds(2);
  options.again = std::chrono::milliseconds(500); // a master that has come back is asked soon
  auto connected = Client::connect(endpoints_, options);
  const std::scoped_lock lock(mutex_);
  if (!connected) {
    trouble_ = connected.error();
    again_ = Clock::now() + pause_after_trouble;
    return tl::unexpected<Error>(connected.error());
  }
  trouble_.reset();
  return std::make_unique<Client>(std::move(*connected));
}

void Masters::give_back(std::unique_ptr<Client> client) {
  const std::scoped_lock lock(mutex_);
  if (client->connected() && idle_.size() < idle_max)
    idle_.push_back(std::move(client));
}

Result<Done> Masters::act(const ActOnJobs& request) {
  auto client = borrow();
  if (!client)
    return tl::unexpected<Error>(client.error());
  auto done = (*client)->act(request, std::chrono::seconds(10));
  give_back(std::move(*client));
  return done;
}

} // namespace reeve::dashboard
