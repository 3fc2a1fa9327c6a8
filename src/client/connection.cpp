// Requests and replies over ZeroMQ. See connection.hpp.
#include "src/client/connection.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <zmq.hpp>

namespace reeve::client {
namespace {

using std::chrono::milliseconds;

constexpr Duration slice = milliseconds(200);              // so often `interrupted` is asked
constexpr Duration endpoint_patience = milliseconds(1000); // until the next endpoint is tried
constexpr Duration refused_patience = milliseconds(50);    // … when nobody listens here
constexpr std::uint32_t unanswered_max = 2; // with several endpoints: then the next one
constexpr int receive_burst = 4096;         // messages between two looks at the clock

std::uint16_t event_of(const zmq::message_t& frame) {
  std::uint16_t event = 0;
  if (frame.size() >= sizeof event)
    std::memcpy(&event, frame.data(), sizeof event);
  return event;
}

tl::unexpected<Error> not_an_endpoint(const std::string& endpoint, const std::string& why) {
  return fail(Code::bad_field, "master",
              "not an endpoint such as tcp://host:7117: '" + endpoint + "' (" + why + ")");
}

} // namespace

bool port_is_good(std::string_view endpoint) {
  if (!endpoint.starts_with("tcp://"))
    return true;
  const std::string_view port = endpoint.substr(endpoint.rfind(':') + 1);
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc{} && end == port.data() + port.size() && number > 0;
}

struct Connection::Impl {
  ConnectionOptions options;
  Calls calls;
  zmq::context_t context;
  zmq::socket_t socket, monitor;
  std::size_t endpoint = 0; // index of the one in use
  std::uint64_t opened = 0; // how many sockets so far
  Instant last_stood;       // when the connection last stood, or the socket was opened
  bool stands = false;
  bool refused = false; // the last try to connect failed
  bool stood_ever = false;
  std::string hello;    // what the first master was greeted with
  bool bundles = false; // the master understands them
  bool greeted = true;  // this one was, or none has been

  void open(Instant now);
  void close();
  void look_at_monitor();
  void disconnected();
  void greet();
  void receive(Instant now);
  void send(Instant now);
  void move_on(Instant now);
};

void Connection::Impl::open(Instant now) {
  socket = zmq::socket_t(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::immediate,
             true); // requests stay with us, not in a queue for a master that may never come
  socket.set(zmq::sockopt::sndhwm, 0); // Client bounds what is in flight
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::heartbeat_ivl, 1000);
  socket.set(zmq::sockopt::heartbeat_timeout, 3000);
  socket.set(zmq::sockopt::handshake_ivl, 2000);
  socket.set(zmq::sockopt::connect_timeout, 2000);
  socket.set(zmq::sockopt::reconnect_ivl, 20);
  socket.set(zmq::sockopt::reconnect_ivl_max, 500);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(options.frame_bytes_max));
  const std::string address = "inproc://reeve-client-" + std::to_string(++opened);
  if (zmq_socket_monitor(socket.handle(), address.c_str(),
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                           ZMQ_EVENT_CONNECT_RETRIED) != 0)
    throw zmq::error_t();
  monitor = zmq::socket_t(context, zmq::socket_type::pair);
  monitor.set(zmq::sockopt::linger, 0);
  monitor.connect(address);
  socket.connect(options.endpoints[endpoint]);
  stands = refused = false;
  last_stood = now;
}

void Connection::Impl::close() {
  if (socket.handle() != nullptr)
    zmq_socket_monitor(socket.handle(), nullptr, 0);
  monitor.close();
  socket.close();
}

void Connection::Impl::disconnected() {
  bundles = false;
  greeted = hello.empty();
  calls.disconnected();
}

/// The next master, or the next program at the same address, knows nothing of this client, and may
/// be an older one.
void Connection::Impl::greet() {
  Call call;
  call.type = Hello::type;
  call.body = hello;
  call.again = std::chrono::seconds(1);
  call.on_reply = [this](const Result<Reply>& reply) {
    if (reply && reply->type == Welcome::type)
      if (const auto welcome = decode<Welcome>(reply->body))
        bundles = welcome->bundles;
    return true;
  };
  calls.add(std::move(call));
}

void Connection::Impl::look_at_monitor() {
  zmq::message_t event, address;
  while (monitor.recv(event, zmq::recv_flags::dontwait)) {
    if (event.more())
      (void)monitor.recv(address, zmq::recv_flags::none);
    if (event_of(event) == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      stands = true;
      stood_ever = true;
      refused = false;
      if (!std::exchange(greeted, true))
        greet();
    } else if (event_of(event) == ZMQ_EVENT_CONNECT_RETRIED) {
      refused = true;
    } else {
      stands = false;
      last_stood = std::chrono::steady_clock::now();
      disconnected();
    }
  }
}

void Connection::Impl::receive(Instant now) {
  zmq::message_t frame;
  for (int n = 0; n < receive_burst; ++n) {
    if (!socket.recv(frame, zmq::recv_flags::dontwait))
      return;
    const std::string header(frame.data<char>(), frame.size());
    std::string body;
    std::size_t frames = 1;
    while (frame.more() && socket.recv(frame, zmq::recv_flags::none))
      if (++frames == 2)
        body.assign(frame.data<char>(), frame.size());
    if (frames == 2) // anything else is not a master's; the call it was for will be sent again
      calls.reply(header, std::move(body), now);
  }
}

void Connection::Impl::send(Instant now) {
  for (;;) {
    const Calls::Outgoing next = calls.next_message(bundles);
    if (next.calls == 0)
      return;
    if (!socket.send(zmq::buffer(next.header),
                     zmq::send_flags::sndmore | zmq::send_flags::dontwait))
      return; // no connection
    (void)socket.send(zmq::buffer(next.body), zmq::send_flags::dontwait);
    calls.sent(next.calls, now);
  }
}

void Connection::Impl::move_on(Instant now) {
  if (stands)
    last_stood = now;
  if (options.endpoints.size() < 2)
    return;
  const bool absent =
    !stands && now - last_stood > (refused ? refused_patience : endpoint_patience);
  if (!absent && !calls.sent_elsewhere() && calls.unanswered() < unanswered_max)
    return;
  close();
  calls.forget_unanswered();
  disconnected();
  endpoint = (endpoint + 1) % options.endpoints.size();
  open(now);
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Connection::~Connection() {
  try {
    impl_->close();
  } catch (const zmq::error_t&) {
    // A destructor has nobody to tell, and the context's end closes what is left.
  }
}

Result<std::unique_ptr<Connection>> Connection::open(ConnectionOptions options) {
  if (options.endpoints.empty())
    return fail(Code::bad_field, "master",
                "at least one endpoint is needed, such as tcp://127.0.0.1:7117");
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  for (std::string& endpoint : impl->options.endpoints)
    endpoint = whole_endpoint(endpoint);
  for (const std::string& endpoint : impl->options.endpoints) {
    if (!port_is_good(endpoint))
      return not_an_endpoint(endpoint, "the port must be from 1 to 65535");
    try { // each is tried on a socket, so that a typing error in the third is told now and not at a
          // failover
      zmq::socket_t probe(impl->context, zmq::socket_type::dealer);
      probe.set(zmq::sockopt::linger, 0);
      probe.connect(endpoint);
    } catch (const zmq::error_t& trouble) {
      return not_an_endpoint(endpoint, trouble.what());
    }
  }
  try {
    impl->open(std::chrono::steady_clock::now());
  } catch (const zmq::error_t& trouble) {
    return fail(Code::io, "master", std::string("no socket: ") + trouble.what());
  }
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

void Connection::welcomed(std::string hello, bool bundles) {
  impl_->hello = std::move(hello);
  impl_->bundles = bundles;
}
Calls& Connection::calls() {
  return impl_->calls;
}
std::string Connection::endpoint() const {
  return impl_->options.endpoints[impl_->endpoint];
}
bool Connection::connected() const {
  return impl_->stands;
}

Error Connection::no_master() const {
  std::string all;
  for (const std::string& endpoint : impl_->options.endpoints)
    all += (all.empty() ? "" : ", ") + endpoint;
  return Error{Code::io, "master",
               (impl_->stood_ever ? "no longer reached at " : "none reached at ") + all};
}

void Connection::flush() {
  try {
    impl_->send(std::chrono::steady_clock::now());
  } catch (const zmq::error_t&) {
    // What could not be sent stays unsent, and pump tells of the trouble.
  }
}

Result<void> Connection::pump(Duration patience) {
  using Clock = std::chrono::steady_clock;
  Impl& impl = *impl_;
  try {
    const Instant now = Clock::now();
    impl.calls.tick(now, no_master());
    impl.move_on(now);
    impl.send(now);
    Duration wait = std::min(patience, slice);
    if (impl.calls.next_due() != never)
      wait = std::min(wait, std::chrono::ceil<Duration>(impl.calls.next_due() - now));
    wait = std::max(wait, Duration(0));
    std::array<zmq::pollitem_t, 2> items{
      {{impl.socket.handle(), 0, ZMQ_POLLIN, 0}, {impl.monitor.handle(), 0, ZMQ_POLLIN, 0}}};
    if (impl.calls.has_unsent())
      items[0].events |= ZMQ_POLLOUT;
    zmq::poll(items, std::chrono::ceil<milliseconds>(wait));
    const Instant after = Clock::now();
    impl.receive(after);
    impl.look_at_monitor();
    impl.send(after);
    impl.calls.tick(after, no_master());
  } catch (const zmq::error_t& trouble) {
    if (trouble.num() != EINTR)
      return fail(Code::io, "master", std::string("socket: ") + trouble.what());
  }
  if (impl.options.interrupted && impl.options.interrupted())
    return fail(Code::timed_out, "", "interrupted");
  return {};
}

std::string whole_endpoint(std::string_view endpoint) {
  std::string out(endpoint);
  if (out.find("://") == std::string::npos)
    out.insert(0, "tcp://");
  if (out.rfind("tcp://", 0) != 0)
    return out;
  const std::size_t bracket = out.rfind(']'); // of an IPv6 address
  const std::size_t colon = out.rfind(':');
  const bool port = colon > 5 && (bracket == std::string::npos || colon > bracket);
  return port ? out : out + ":7117";
}

std::vector<std::string> endpoint_list(std::string_view text) {
  std::vector<std::string> out;
  std::string one;
  for (const char c : std::string(text) + ",") {
    if (c == ',') {
      if (!one.empty())
        out.push_back(whole_endpoint(one));
      one.clear();
    } else if (c != ' ' && c != '\t') {
      one += c;
    }
  }
  return out;
}

} // namespace reeve::client
