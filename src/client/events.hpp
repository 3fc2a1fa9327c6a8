// The master's numbered event stream, read in order and without repetition, through master restarts
// and failovers: what was missed is asked for again. Programs and `reeve events` use it. One
// thread; nothing throws.
//
//   auto events = reeve::EventStream::open({"tcp://127.0.0.1:7117"});
//   while (auto event = events->next(std::chrono::seconds(1)))
//     if (*event) …
#pragma once

#include "src/client/client.hpp"

namespace reeve {

struct EventOptions {
  /// Events of this seq and after it, as far back as the master keeps them; 0: all that it keeps;
  /// none: what happens from now on.
  std::optional<Seq> from;
  Duration connect_timeout = std::chrono::seconds(5); // of `open`; later it tries for ever
  std::function<bool()> interrupted; // when it returns true, `next` returns timed_out
  /// Live events whose topic (`<kind>`, or `<kind>.<job or node>`) it refuses are passed over
  /// undecoded; some of them may be given all the same. None: all are wanted.
  std::function<bool(std::string_view topic)> wanted;
  /// Told, within `next`, when the connection is lost (false) and when it has been made again.
  std::function<void(bool connected)> on_link;
};

class EventStream {
public:
  /// When it returns, nothing that happens from now on is missed. Errors: as Client::connect;
  /// not_found when this master publishes no events.
  static Result<EventStream> open(const std::vector<std::string>& endpoints,
                                  EventOptions options = {});
  EventStream(EventStream&&) noexcept;
  EventStream& operator=(EventStream&&) noexcept;
  ~EventStream();

  /// The next event; none when nothing came within `patience`. Where events are missing that the
  /// master no longer keeps, an event of kind `stream.gap` says so: its seq is the first that can
  /// be had, `numbers` has `first` and `last` of what is missing. Error: timed_out when
  /// interrupted.
  Result<std::optional<Event>> next(Duration patience);

private:
  struct Impl;
  explicit EventStream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

} // namespace reeve
