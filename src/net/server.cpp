// The I/O thread behind Server. See server.hpp.
#include "src/net/server.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <zmq.hpp>

namespace reeve::net {
namespace {

constexpr std::size_t batch_messages_max = 1'024;
constexpr std::size_t batch_bytes_max = 4u << 20;
constexpr long retry_first_ns = 200'000, retry_most_ns = 5'000'000;
constexpr std::size_t routing_id_bytes = 5; // a zero byte, then ROUTER's counter

/// 0 when the peer chose its own routing id: we speak to automatic ones only.
Peer peer_of(const zmq::message_t& id) {
  if (id.size() != routing_id_bytes || static_cast<const char*>(id.data())[0] != 0)
    return 0;
  std::uint32_t number = 0;
  std::memcpy(&number, static_cast<const char*>(id.data()) + 1, sizeof number);
  return (Peer{1} << 32) | number;
}
std::array<char, routing_id_bytes> id_of(Peer peer) {
  std::array<char, routing_id_bytes> id{};
  const auto number = static_cast<std::uint32_t>(peer);
  std::memcpy(id.data() + 1, &number, sizeof number);
  return id;
}

/// libzmq takes the first routing id from rand(). A peer that can guess ids can end the process
/// (4.3.4), so they start anywhere.
void seed() {
  unsigned number = 0;
  if (::getrandom(&number, sizeof number, 0) == static_cast<ssize_t>(sizeof number))
    std::srand(number);
}

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

class Descriptor {
public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

private:
  int fd_;
};

void settle(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::handshake_ivl, 2'000);
  // No ZMTP heartbeats from here: libzmq 4.3.4 walks through the timers of all connections each
  // time that one is answered, which with thousands of them is a processor's whole work. Peers send
  // them; who falls silent is found out by what it should say; a dead machine by the system.
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, 10);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, 5);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, 3);
  socket.set(zmq::sockopt::backlog, 4'096); // after a restart everybody connects at once
}

std::string bind_to(zmq::socket_t& socket, const std::string& endpoint) {
  socket.bind(endpoint);
  return socket.get(zmq::sockopt::last_endpoint);
}

} // namespace

struct Server::Io {
  explicit Io(Server& owner)
      : server(owner), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}

  struct Backlog {
    std::deque<Message> messages;
    std::size_t bytes = 0;
  };

  void run();
  void receive();
  void receive_subscriptions();
  void take_queued();
  void deliver(Message message);
  enum class Sent { yes, full, gone };
  Sent try_send(const Message& message);
  void retry();
  void arm(long ns) const;
  void wake_up() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written =
      ::write(wake.get(), &one, sizeof one); // full: it is awake anyway
  }
  static void drain(int fd) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(fd, &count, sizeof count);
  }
  [[nodiscard]] bool may_read() const {
    return !paused.load(std::memory_order_relaxed) &&
           unconsumed.load(std::memory_order_relaxed) < server.options_.input_bytes_max;
  }

  Server& server;
  Handler handler;
  zmq::context_t context{1};
  zmq::socket_t events,
    router; // in this order: seed() belongs before the ROUTER's first connection
  Descriptor wake, timer;

  std::mutex mutex; // guards the two queues
  std::vector<Message> outgoing;
  std::vector<Publication> publications;
  std::atomic<std::size_t> unconsumed{0};
  std::atomic<bool> paused{false}, stopping{false};

  std::unordered_map<Peer, Backlog> backlogs; // the I/O thread's own
  long retry_ns = retry_first_ns;
  std::thread thread;
};

Server::Server(ServerOptions options)
    : options_(std::move(options)), io_(std::make_unique<Io>(*this)) {}

Result<std::unique_ptr<Server>> Server::bind(ServerOptions options) {
  raise_file_limit();
  seed();
  std::string field = "listen", endpoint = options.listen;
  try {
    std::unique_ptr<Server> server(new Server(std::move(options)));
    Io& io = *server->io_;
    io.events = zmq::socket_t(io.context, zmq::socket_type::xpub);
    seed(); // the context seeds by the clock when its first socket opens
    io.router = zmq::socket_t(io.context, zmq::socket_type::router);
    settle(io.router);
    io.router.set(zmq::sockopt::router_mandatory, true);
    io.router.set(zmq::sockopt::sndhwm, 64);
    io.router.set(zmq::sockopt::rcvhwm, 64);
    io.router.set(zmq::sockopt::maxmsgsize, server->options_.frame_bytes_max);
    server->endpoint_ = bind_to(io.router, endpoint);
    if (!server->options_.events.empty()) {
      field = "events";
      endpoint = server->options_.events;
      settle(io.events);
      // A slower subscriber misses events and asks for them again; a whole replay, one by one, must
      // fit.
      io.events.set(zmq::sockopt::sndhwm, 110'000);
      io.events.set(zmq::sockopt::tcp_maxrt, server->options_.silent_reader_ms);
      io.events.set(zmq::sockopt::maxmsgsize, std::int64_t{4'096}); // only subscriptions come in
      io.events.set(zmq::sockopt::xpub_verboser, 1); // every subscription and every end of one
      server->events_endpoint_ = bind_to(io.events, endpoint);
    }
    return server;
  } catch (const zmq::error_t& error) {
    return fail(Code::io, field, "cannot listen on " + endpoint + ": " + error.what());
  }
}

Server::~Server() {
  stop();
}

void Server::start(Handler handler) {
  io_->handler = std::move(handler);
  io_->thread = std::thread([this] { io_->run(); });
}

void Server::send(std::vector<Message> messages) {
  if (messages.empty())
    return;
  bool first = false;
  {
    const std::lock_guard lock(io_->mutex);
    first = io_->outgoing.empty();
    if (first)
      io_->outgoing = std::move(messages);
    else
      io_->outgoing.insert(io_->outgoing.end(), std::make_move_iterator(messages.begin()),
                           std::make_move_iterator(messages.end()));
  }
  if (first)
    io_->wake_up();
}

void Server::publish(std::vector<Publication> publications) {
  if (publications.empty() || events_endpoint_.empty())
    return;
  {
    const std::lock_guard lock(io_->mutex);
    io_->publications.insert(io_->publications.end(), std::make_move_iterator(publications.begin()),
                             std::make_move_iterator(publications.end()));
  }
  io_->wake_up();
}

void Server::consumed(std::size_t bytes) {
  const std::size_t before = io_->unconsumed.fetch_sub(bytes);
  if (before >= options_.input_bytes_max && before - bytes < options_.input_bytes_max)
    io_->wake_up();
}

void Server::pause() {
  io_->paused = true;
  io_->wake_up();
}

void Server::stop() {
  io_->stopping = true;
  io_->paused = true;
  io_->wake_up();
  if (io_->thread.joinable())
    io_->thread.join();
  io_->handler = {}; // what it refers to may go now
}

void Server::Io::run() {
  const bool has_events = !server.events_endpoint_.empty();
  std::chrono::steady_clock::time_point last_chance{};
  for (;;) {
    std::array<zmq::pollitem_t, 4> items{{
      {nullptr, wake.get(), ZMQ_POLLIN, 0},
      {nullptr, timer.get(), ZMQ_POLLIN, 0},
      {router.handle(), 0, static_cast<short>(may_read() ? ZMQ_POLLIN : 0), 0},
      {events.handle(), 0, ZMQ_POLLIN, 0},
    }};
    try {
      zmq::poll(items.data(), has_events ? 4 : 3, std::chrono::milliseconds(stopping ? 10 : -1));
      if ((items[0].revents & ZMQ_POLLIN) != 0)
        drain(wake.get());
      if ((items[1].revents & ZMQ_POLLIN) != 0) {
        drain(timer.get());
        retry();
      }
      const bool last_round =
        stopping; // seen before the queue is emptied, so nothing queued before stop() is missed
      take_queued();
      if ((items[2].revents & ZMQ_POLLIN) != 0)
        receive();
      if (has_events && (items[3].revents & ZMQ_POLLIN) != 0)
        receive_subscriptions();
      if (last_round) {
        const auto now = std::chrono::steady_clock::now();
        if (last_chance.time_since_epoch().count() == 0)
          last_chance = now + std::chrono::milliseconds(500);
        if (backlogs.empty() || now >= last_chance)
          break;
      }
    } catch (const zmq::error_t& error) {
      if (error.num() == ETERM)
        break;
      if (error.num() != EINTR && error.num() != EAGAIN)
        server.counters_.misshapen.fetch_add(1, std::memory_order_relaxed);
    }
  }
  try { // what the sockets have accepted still goes out, for a moment
    router.set(zmq::sockopt::linger, 200);
    router.close();
    events.set(zmq::sockopt::linger, 200);
    events.close();
  } catch (const zmq::error_t&) {
    // nothing is left to save
  }
}

void Server::Io::receive() {
  std::vector<Message> batch;
  std::size_t bytes = 0;
  zmq::message_t id, header, body, rest;
  while (batch.size() < batch_messages_max && bytes < batch_bytes_max) {
    if (!router.recv(id, zmq::recv_flags::dontwait))
      break;
    // The parts of a message arrive together: none of these waits.
    std::size_t parts = 1;
    bool more = id.more();
    for (zmq::message_t* part : {&header, &body}) {
      if (!more || !router.recv(*part, zmq::recv_flags::dontwait))
        break;
      ++parts;
      more = part->more();
    }
    while (more && router.recv(rest, zmq::recv_flags::dontwait)) {
      ++parts;
      more = rest.more();
    }
    const Peer peer = peer_of(id);
    if (peer == 0 || parts != 3) {
      server.counters_.misshapen.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    batch.push_back({peer, header.to_string(), body.to_string()});
    bytes += batch.back().bytes();
  }
  if (batch.empty())
    return;
  server.counters_.received.fetch_add(batch.size(), std::memory_order_relaxed);
  unconsumed.fetch_add(bytes);
  handler.received(std::move(batch));
}

void Server::Io::receive_subscriptions() {
  zmq::message_t frame;
  for (int i = 0; i < 1'000 && events.recv(frame, zmq::recv_flags::dontwait); ++i) {
    const std::string_view text = frame.to_string_view();
    if (frame.more() || text.empty())
      continue;
    if (text[0] != 0 && text[0] != 1)
      continue;
    const bool begins = text[0] == 1;
    if (handler.subscribed)
      handler.subscribed(std::string(text.substr(1)), begins);
  }
}

void Server::Io::take_queued() {
  std::vector<Message> messages;
  std::vector<Publication> news;
  {
    const std::lock_guard lock(mutex);
    messages.swap(outgoing);
    news.swap(publications);
  }
  for (auto& message : messages)
    deliver(std::move(message));
  for (const auto& item : news) {
    events.send(zmq::buffer(item.topic), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    events.send(zmq::buffer(item.position), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    events.send(zmq::buffer(item.body), zmq::send_flags::dontwait);
  }
}

Server::Io::Sent Server::Io::try_send(const Message& message) {
  try {
    const auto id = id_of(message.peer);
    if (!router.send(zmq::buffer(id), zmq::send_flags::sndmore | zmq::send_flags::dontwait))
      return Sent::full;
    router.send(zmq::buffer(message.header), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    router.send(zmq::buffer(message.body), zmq::send_flags::dontwait);
    server.counters_.sent.fetch_add(1, std::memory_order_relaxed);
    return Sent::yes;
  } catch (const zmq::error_t& error) {
    if (error.num() == EAGAIN || error.num() == EINTR)
      return Sent::full;
    return Sent::gone; // EHOSTUNREACH
  }
}

void Server::Io::deliver(Message message) {
  const Peer peer = message.peer;
  if (const auto at = backlogs.find(peer); at == backlogs.end()) {
    switch (try_send(message)) {
    case Sent::yes:
      return;
    case Sent::gone:
      server.counters_.unreachable.fetch_add(1, std::memory_order_relaxed);
      if (handler.gone)
        handler.gone(peer, "disconnected");
      return;
    case Sent::full:
      break;
    }
  }
  if (backlogs.empty()) {
    retry_ns = retry_first_ns;
    arm(retry_ns);
  }
  Backlog& backlog = backlogs[peer];
  backlog.bytes += message.bytes();
  backlog.messages.push_back(std::move(message));
  if (backlog.bytes > server.options_.peer_bytes_max) {
    backlogs.erase(peer);
    server.counters_.dropped_peers.fetch_add(1, std::memory_order_relaxed);
    if (handler.gone)
      handler.gone(peer, "takes its messages too slowly: what was queued for it has been dropped");
  }
}

/// The socket's own limit is 64 messages a peer (a stopped peer swallows those); the rest waits
/// here. ROUTER does not say when one peer has room again, hence a timer.
void Server::Io::retry() {
  bool progress = false;
  for (auto at = backlogs.begin(); at != backlogs.end();) {
    Backlog& backlog = at->second;
    Sent sent = Sent::yes;
    while (!backlog.messages.empty() && (sent = try_send(backlog.messages.front())) == Sent::yes) {
      backlog.bytes -= backlog.messages.front().bytes();
      backlog.messages.pop_front();
      progress = true;
    }
    if (sent == Sent::gone) {
      server.counters_.unreachable.fetch_add(1, std::memory_order_relaxed);
      if (handler.gone)
        handler.gone(at->first, "disconnected");
    }
    at = backlog.messages.empty() || sent == Sent::gone ? backlogs.erase(at) : std::next(at);
  }
  retry_ns = progress ? retry_first_ns : std::min(retry_ns * 2, retry_most_ns);
  if (!backlogs.empty())
    arm(retry_ns);
}

void Server::Io::arm(long ns) const {
  itimerspec when{};
  when.it_value.tv_nsec = ns;
  ::timerfd_settime(timer.get(), 0, &when, nullptr);
}

} // namespace reeve::net
