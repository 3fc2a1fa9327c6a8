// See standby.hpp.
#include "src/standby/standby.hpp"

#include "src/net/dealer.hpp"

#include <arpa/inet.h>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <random>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace reeve::standby {
namespace {

using std::chrono::milliseconds;

constexpr Duration slice = milliseconds(50);
constexpr int connect_patience_ms = 100;

TimePoint steady_now() {
  return TimePoint(
    std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}
TimePoint calendar_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

/// Nobody listens at tcp://host:port, and its kernel says so.
bool is_refused(const std::string& endpoint) {
  constexpr std::size_t scheme = 6; // tcp://
  const auto colon = endpoint.rfind(':');
  if (endpoint.rfind("tcp://", 0) != 0 || colon <= scheme)
    return false;
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string host = endpoint.substr(scheme, colon - scheme);
  if (::getaddrinfo(host.c_str(), endpoint.substr(colon + 1).c_str(), &hints, &found) != 0)
    return false;
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = ::connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  ::freeaddrinfo(found);
  if (error == EINPROGRESS) {
    pollfd item{fd, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (::poll(&item, 1, connect_patience_ms) == 1)
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  ::close(fd);
  return error == ECONNREFUSED;
}

} // namespace

struct Standby::Io {
  // what the other threads bring
  std::mutex mutex;
  std::vector<net::Message> messages;
  std::vector<net::Peer> gone;
  std::optional<Result<journal::Look>> look;
  int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // the thread that asks etcd
  std::condition_variable wake;
  Seq look_from; // 0: nothing is asked
  bool look_latest = false;
  bool stop = false;
  std::thread looker;
  // the direct connection
  zmq::context_t context;
  std::optional<net::Dealer> dealer;
  std::string dealer_endpoint;
  TimePoint asked, tried, look_due;
  bool looking = false, down = false;
  bool sure = false; // all members were asked, and the leader is dead all the same

  ~Io() { ::close(event); }
  void ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event, &one, sizeof one);
  }
  void look_at(journal::EtcdJournal& journal);
  void ask_etcd(Seq from, bool latest) {
    {
      const std::scoped_lock lock(mutex);
      look_from = from;
      look_latest = latest;
    }
    looking = true;
    wake.notify_one();
  }
  void connect(const std::string& endpoint);
  void ask_leader(TimePoint now);
  void hear_leader(Suspicion& suspicion, TimePoint now);
  void wait(Duration patience);
};

/// The thread's whole life: one look when asked.
void Standby::Io::look_at(journal::EtcdJournal& journal) {
  for (;;) {
    Seq from;
    bool latest = false;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return stop || look_from; });
      if (stop)
        return;
      from = std::exchange(look_from, Seq(0));
      latest = look_latest;
    }
    auto seen = journal.look(from, Follower::look_patience, latest);
    {
      const std::scoped_lock lock(mutex);
      look = std::move(seen);
    }
    ring();
  }
}

void Standby::Io::connect(const std::string& endpoint) {
  if (endpoint == dealer_endpoint)
    return;
  dealer.reset();
  down = false;
  dealer_endpoint = endpoint;
  if (endpoint.empty())
    return;
  if (auto made = net::Dealer::connect(context, endpoint))
    dealer = std::move(*made);
}

void Standby::Io::ask_leader(TimePoint now) {
  if (!dealer || now - asked < Follower::ask_every)
    return;
  asked = now;
  Hello hello;
  hello.name = "standby";
  hello.standby = true;
  (void)dealer->send({encode(Header{protocol_version, Hello::type, 1, {}}), encode(hello)});
}

void Standby::Io::hear_leader(Suspicion& suspicion, TimePoint now) {
  if (!dealer)
    return;
  while (const auto change = dealer->event()) {
    down = *change == net::Dealer::Event::disconnected;
    asked = tried = {}; // ask at once
  }
  if (down && now - tried >= slice) {
    tried = now;
    if (is_refused(dealer_endpoint))
      suspicion.refused();
  }
  for (;;) {
    auto frames = dealer->receive();
    if (!frames)
      continue;
    if (!*frames)
      return;
    const auto header = decode<Header>((*frames)->header());
    if (!header || header->type != MessageType::welcome)
      continue;
    const auto welcome = decode<Welcome>((*frames)->body());
    if (welcome && welcome->role == "leader") // a master that is a standby itself leads nobody
      suspicion.answered(now);
  }
}

void Standby::Io::wait(Duration patience) {
  std::vector<zmq::pollitem_t> items{{nullptr, event, ZMQ_POLLIN, 0}};
  if (dealer) {
    items.push_back({dealer->socket(), 0, ZMQ_POLLIN, 0});
    items.push_back({dealer->monitor(), 0, ZMQ_POLLIN, 0});
  }
  const auto ms = std::max<std::int64_t>(std::chrono::ceil<milliseconds>(patience).count(), 0);
  zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(ms));
  std::uint64_t ignored = 0;
  [[maybe_unused]] const auto got = ::read(event, &ignored, sizeof ignored);
}

Standby::Standby(journal::EtcdJournal& journal, ledger::Recovered recovered, StandbyOptions options)
    : options_(std::move(options)), desk_(options_.identity),
      follower_(journal, std::move(recovered),
                {options_.endpoint, options_.committed, options_.tell, std::random_device{}()}),
      io_(std::make_unique<Io>()) {
  io_->looker = std::thread([this, &journal] { io_->look_at(journal); });
}

Standby::~Standby() {
  {
    const std::scoped_lock lock(io_->mutex);
    io_->stop = true;
  }
  io_->wake.notify_one();
  io_->looker.join();
}

void Standby::again() {
  io_->sure = false;
  follower_.again();
}

void Standby::received(std::vector<net::Message> messages) {
  {
    const std::scoped_lock lock(io_->mutex);
    std::move(messages.begin(), messages.end(), std::back_inserter(io_->messages));
  }
  io_->ring();
}

void Standby::gone(net::Peer peer) {
  const std::scoped_lock lock(io_->mutex);
  io_->gone.push_back(peer);
}

Result<bool> Standby::run() {
  Io& io = *io_;
  for (;;) {
    const TimePoint now = steady_now();
    follower_.suspicion().tick(now);
    io.hear_leader(follower_.suspicion(), now);
    io.ask_leader(now);
    std::vector<net::Message> messages;
    std::optional<Result<journal::Look>> look;
    {
      const std::scoped_lock lock(io.mutex);
      messages.swap(io.messages);
      look.swap(io.look);
      for (const net::Peer peer : std::exchange(io.gone, {}))
        desk_.gone(peer);
    }
    if (look) {
      io.looking = false;
      const bool more = *look && (*look)->more;
      io.look_due = now + (more ? Duration(0) : options_.look_every);
      if (auto taken = follower_.take(std::move(*look), now); !taken)
        return tl::unexpected<Error>(std::move(taken).error());
      io.connect(follower_.leader_endpoint());
    }
    answer(std::move(messages));
    if (options_.stop())
      return false;
    // Never while a look is under way: it may just learn of a new leader, who is not to be deposed.
    // One member alone may not know that etcd has no majority; so all of them are asked.
    const TimePoint then = steady_now();
    const bool dead = follower_.dead(then);
    if (dead && !io.looking && io.sure) {
      options_.tell(false, follower_.reason(then) + "; taking over");
      return true;
    }
    if (!io.looking && (dead || then >= io.look_due)) {
      io.sure = dead;
      io.ask_etcd(follower_.next(), dead || follower_.trouble());
    }
    io.wait(std::min<Duration>(slice, io.looking ? slice : io.look_due - steady_now()));
  }
}

void Standby::answer(std::vector<net::Message> messages) {
  if (messages.empty())
    return;
  const DeskView view = follower_.view(steady_now());
  std::vector<net::Message> out;
  for (const auto& message : messages)
    desk_.answer(message, view, calendar_now(), out);
  if (!out.empty())
    options_.send(std::move(out));
}

std::vector<net::Peer> Standby::agents() const {
  return {desk_.agents().begin(), desk_.agents().end()};
}

std::vector<net::Message> Standby::unanswered() {
  const std::scoped_lock lock(io_->mutex);
  return std::exchange(io_->messages, {});
}

} // namespace reeve::standby
