// Reading events. See events.hpp; messages/PROTOCOL.md, "Events", has the rules. The event stream's
// socket is made anew for each connection, so that a lost one never looks like silence.
#include "src/client/events.hpp"

#include "messages/event_pack.hpp"

#include <array>
#include <cerrno>
#include <deque>
#include <sys/random.h>
#include <zmq.hpp>

namespace reeve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Duration slice = std::chrono::milliseconds(200); // so often `interrupted` is asked
constexpr Duration reconnect_patience = std::chrono::seconds(5);
constexpr Duration reconnect_pause = std::chrono::milliseconds(200);

std::string random_nonce() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits))
    bits = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
  return std::to_string(bits);
}

/// A master that listens everywhere cannot say under which name it is reached: the client knows.
std::string reachable(std::string events, const std::string& master) {
  for (const char* anywhere : {"tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"})
    if (events.rfind(anywhere, 0) == 0 && master.rfind("tcp://", 0) == 0)
      return master.substr(0, master.rfind(':')) + events.substr(events.rfind(':'));
  return events;
}

constexpr std::string_view live_topic = "of.all";

/// The number of a pack's first event; 0: none.
std::uint64_t read_number(std::string_view bytes) {
  const auto numbers = decode<std::vector<std::uint64_t>>(bytes);
  return numbers && !numbers->empty() ? numbers->front() : 0;
}

} // namespace

struct EventStream::Impl {
  struct Position {
    Seq seq;
    std::uint32_t part = 0;
    auto operator<=>(const Position&) const = default;
  };

  std::vector<std::string> endpoints;
  EventOptions options;

  zmq::context_t context;
  zmq::socket_t socket, monitor;
  std::uint64_t opened = 0;
  bool connected = false;
  std::uint64_t number = 0; // of the newest live event on this connection
  bool skipped = false;     // the master had to leave some out: this reader was too slow

  Seq next_seq;                           // the first that is wanted and has not been seen
  std::optional<Position> last;           // of the newest event given out
  Seq durable;                            // of the master, when the connection was made
  std::string replay_topic;               // not empty: a replay is under way
  std::deque<std::string> replayed, held; // packs, until the replay has ended; held: live ones
  std::deque<Event> ready;

  Result<void> connect(Duration timeout);
  void disconnect();
  void subscribe(const std::string& events);
  bool lost();
  void receive();
  bool follows(std::uint64_t first, std::uint32_t count);
  void take(std::string_view topic, std::string_view place, std::string_view body);
  void replay_ended(std::string_view end);
  void give(std::string_view pack, bool replay);
  bool passed_over(Position position);
  void tell_gap(Seq first, Seq end, const std::string& text);
};

/// One connection, from the question where events are to the end of the replay.
Result<void> EventStream::Impl::connect(Duration timeout) {
  const auto deadline = Clock::now() + timeout;
  ClientOptions client_options;
  client_options.name = "events";
  client_options.connect_timeout = timeout;
  client_options.timeout = timeout;
  client_options.interrupted = options.interrupted;
  auto client = Client::connect(endpoints, client_options);
  if (!client)
    return tl::unexpected<Error>(client.error());
  const std::string events = client->welcome().events;
  if (events.empty())
    return fail(Code::not_found, "master", "this master publishes no events (reeved --events)");
  const auto status = client->ask(GetMaster{});
  if (!status)
    return tl::unexpected<Error>(status.error());
  if (status->role ==
      "standby") // stepped down since it said Welcome: it tells nothing, and is behind
    return fail(Code::not_leader, "master", status->master + " does not lead");
  durable = status->durable;
  if (!next_seq)
    next_seq = options.from ? std::max(*options.from, Seq(1)) : durable.next();
  try {
    subscribe(reachable(events, client->endpoint()));
    while (!replay_topic.empty()) {
      if (options.interrupted && options.interrupted())
        return fail(Code::timed_out, "", "interrupted");
      if (Clock::now() >= deadline || lost())
        return fail(Code::io, "master", "no events are to be had at " + events);
      receive();
    }
  } catch (const zmq::error_t& trouble) {
    return fail(Code::io, "master", "events at " + events + ": " + trouble.what());
  }
  return {};
}

void EventStream::Impl::disconnect() {
  try {
    if (socket.handle() != nullptr)
      zmq_socket_monitor(socket.handle(), nullptr, 0);
    monitor.close();
    socket.close();
  } catch (const zmq::error_t&) {
    // What cannot be closed ends with the context.
  }
  replay_topic.clear();
  replayed.clear();
  held.clear();
  connected = false;
  number = 0;
  skipped = false;
}

void EventStream::Impl::subscribe(const std::string& events) {
  disconnect();
  socket = zmq::socket_t(context, zmq::socket_type::sub);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::rcvhwm, 0); // a reader that is slow for a while loses nothing
  socket.set(zmq::sockopt::heartbeat_ivl, 1000);
  socket.set(zmq::sockopt::heartbeat_timeout, 3000);
  socket.set(zmq::sockopt::handshake_ivl, 2000);
  socket.set(zmq::sockopt::connect_timeout, 2000);
  const std::string address = "inproc://reeve-events-" + std::to_string(++opened);
  if (zmq_socket_monitor(socket.handle(), address.c_str(), ZMQ_EVENT_DISCONNECTED) != 0)
    throw zmq::error_t();
  monitor = zmq::socket_t(context, zmq::socket_type::pair);
  monitor.set(zmq::sockopt::linger, 0);
  monitor.connect(address);
  replay_topic = "of.past." + std::to_string(next_seq.value) + "." + random_nonce();
  socket.set(zmq::sockopt::subscribe, live_topic);
  socket.set(zmq::sockopt::subscribe, replay_topic); // last: its end says that both are in force
  socket.connect(events);
  connected = true;
}

bool EventStream::Impl::lost() {
  zmq::message_t frame;
  bool any = skipped;
  while (monitor.recv(frame, zmq::recv_flags::dontwait))
    any = true;
  return any;
}

void EventStream::Impl::receive() {
  std::array<zmq::pollitem_t, 2> items{
    {{socket.handle(), 0, ZMQ_POLLIN, 0}, {monitor.handle(), 0, ZMQ_POLLIN, 0}}};
  try {
    zmq::poll(items, std::chrono::ceil<std::chrono::milliseconds>(slice));
  } catch (const zmq::error_t& trouble) {
    if (trouble.num() != EINTR) // a signal: `interrupted` is asked next
      throw;
  }
  std::array<zmq::message_t, 3> frames; // topic, position, body
  for (int n = 0; n < 4096 && !skipped && socket.recv(frames[0], zmq::recv_flags::dontwait); ++n) {
    std::size_t count = 1;
    for (bool more = frames[0].more(); more; ++count) {
      zmq::message_t& frame = frames[std::min<std::size_t>(count, 2)];
      if (!socket.recv(frame, zmq::recv_flags::none))
        return;
      more = frame.more();
    }
    if (count == 3)
      take(frames[0].to_string_view(), frames[1].to_string_view(), frames[2].to_string_view());
  }
}

void EventStream::Impl::take(std::string_view topic, std::string_view place,
                             std::string_view body) {
  if (topic == live_topic) {
    if (!follows(read_number(place), PackReader(body).count()))
      return;
    if (replay_topic.empty())
      give(body, false);
    else
      held.emplace_back(body);
  } else if (!replay_topic.empty() && topic == replay_topic) {
    if (const auto event = PackReader(body).next(); event && event->topic == "replay.done")
      replay_ended(event->event);
    else
      replayed.emplace_back(body);
  }
}

/// False: live events are missing before these. A new connection asks for them again.
bool EventStream::Impl::follows(std::uint64_t first, std::uint32_t count) {
  if (first == 0 || count == 0)
    return false; // no pack
  const std::uint64_t before = std::exchange(number, first + count - 1);
  skipped = before != 0 && first != before + 1;
  return !skipped;
}

void EventStream::Impl::replay_ended(std::string_view bytes) {
  const auto end = decode<Event>(bytes);
  if (!end)
    return; // and no other end comes: the connection is made anew
  const auto at = end->numbers.find("oldest"); // none: nothing is kept
  const Seq oldest =
    at == end->numbers.end() ? durable.next() : Seq(static_cast<std::uint64_t>(at->second));
  const Seq first = last ? last->seq.next() : next_seq;
  if (last && durable < last->seq) {
    tell_gap(durable.next(), first, "the journal ends before them now: it is another one");
    last.reset();
    next_seq = durable.next();
  } else if (oldest > first) {
    tell_gap(first, oldest, "the master no longer keeps them");
  }
  for (const std::string& pack : std::exchange(replayed, {}))
    give(pack, true);
  for (const std::string& pack : std::exchange(held, {}))
    give(pack, false);
  try {
    socket.set(zmq::sockopt::unsubscribe, replay_topic);
  } catch (const zmq::error_t&) {
    // Nothing more comes under that topic anyway.
  }
  replay_topic.clear();
}

/// Of a replay all that was asked for, wanted or not; its first pack may begin earlier.
void EventStream::Impl::give(std::string_view pack, bool replay) {
  PackReader reader(pack);
  while (const auto packed = reader.next()) {
    if ((replay && packed->seq < next_seq) || !passed_over({packed->seq, packed->part}))
      continue;
    if (!replay && options.wanted && !options.wanted(packed->topic))
      continue;
    if (auto event = decode<Event>(packed->event))
      ready.push_back(std::move(*event));
  }
}

/// False: it has been there before.
bool EventStream::Impl::passed_over(Position position) {
  if (last && position <= *last)
    return false;
  last = position;
  next_seq = position.seq; // there may be more of the same entry
  return true;
}

void EventStream::Impl::tell_gap(Seq first, Seq end, const std::string& text) {
  Event event;
  event.seq = end;
  event.kind = "stream.gap";
  event.text = "events " + std::to_string(first.value) + " to " + std::to_string(end.value - 1) +
               " are missing: " + text;
  event.numbers = {{"first", static_cast<std::int64_t>(first.value)},
                   {"last", static_cast<std::int64_t>(end.value - 1)}};
  ready.push_back(std::move(event));
}

EventStream::EventStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventStream::EventStream(EventStream&&) noexcept = default;
EventStream& EventStream::operator=(EventStream&&) noexcept = default;
EventStream::~EventStream() {
  if (impl_)
    impl_->disconnect();
}

Result<EventStream> EventStream::open(const std::vector<std::string>& endpoints,
                                      EventOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->endpoints = endpoints;
  impl->options = std::move(options);
  EventStream stream(std::move(impl));
  if (auto connected = stream.impl_->connect(stream.impl_->options.connect_timeout); !connected)
    return tl::unexpected<Error>(connected.error());
  return stream;
}

Result<std::optional<Event>> EventStream::next(Duration patience) {
  Impl& impl = *impl_;
  const auto deadline = Clock::now() + patience;
  while (true) {
    if (!impl.ready.empty()) {
      std::optional<Event> event(std::move(impl.ready.front()));
      impl.ready.pop_front();
      return event;
    }
    if (impl.options.interrupted && impl.options.interrupted())
      return fail(Code::timed_out, "", "interrupted");
    if (Clock::now() >= deadline)
      return std::nullopt;
    try {
      if (impl.connected && !impl.lost()) {
        impl.receive();
        continue;
      }
    } catch (const zmq::error_t&) {
      // A socket that fails is made anew, as one whose master is gone.
    }
    if (impl.connected && impl.options.on_link)
      impl.options.on_link(false);
    impl.disconnect();
    if (impl.connect(reconnect_patience)) {
      if (impl.options.on_link)
        impl.options.on_link(true);
    } else {
      impl.disconnect();
      zmq_poll(nullptr, 0, std::chrono::ceil<std::chrono::milliseconds>(reconnect_pause).count());
    }
  }
}

} // namespace reeve
