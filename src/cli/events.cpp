// `reeve events`: what happens, as it happens, or from an earlier place on.
#include "src/client/events.hpp"
#include "src/cli/commands.hpp"
#include "src/cli/hook.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <ostream>

namespace reeve::cli {
namespace {

constexpr Duration look_for_events = std::chrono::seconds(1);

struct EventsWanted {
  std::string from = "now", exec, post, place;
  std::size_t tries = 5;
  std::vector<std::string> filters, nodes, jobs, queues;
  std::size_t count = 0;
  bool past = false;
};

/// `job` and `job.` mean all kinds below, `job.ended` that kind.
bool of_kind(std::string_view kind, std::string_view filter) {
  if (!kind.starts_with(filter))
    return false;
  return kind.size() == filter.size() || filter.empty() || filter.back() == '.' ||
         kind[filter.size()] == '.';
}

/// Of a kind, or of a topic, which begins with the kind.
bool kind_wanted(std::string_view kind, const EventsWanted& o) {
  return o.filters.empty() || std::any_of(o.filters.begin(), o.filters.end(),
                                          [&](const auto& f) { return of_kind(kind, f); });
}

bool event_wanted(const Event& event, const EventsWanted& o) {
  if (event.kind == "stream.gap")
    return true;
  const auto any = [](const std::vector<std::string>& wanted, const auto& good) {
    return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), good);
  };
  return kind_wanted(event.kind, o) &&
         any(o.nodes, [&](const std::string& n) { return event.node == n; }) &&
         any(o.jobs, [&](const std::string& j) { return std::to_string(event.job.value) == j; }) &&
         any(o.queues, [&](const std::string& q) { return event.queue == q; });
}

/// "2025-01-31 10:00:00  17  job.ended  job 5  succeeded  tasks=3"
std::string event_line(const Event& event) {
  std::string out = format_time(event.time == TimePoint{} ? TimePoint{} : event.time) + "  " +
                    std::to_string(event.seq.value) + "  " + event.kind;
  if (event.job)
    out += "  job " + std::to_string(event.job.value);
  if (!event.queue.empty())
    out += "  queue " + event.queue;
  for (const std::string& text : {event.node, event.name, event.text})
    if (!text.empty())
      out += "  " + text;
  for (const auto& [name, value] : event.numbers)
    out += "  " + name + "=" + std::to_string(value);
  return printable(out);
}

void print_event(Session& session, const Event& event) {
  if (session.human()) {
    session.terminal.out << event_line(event) << "\n";
  } else if (session.format == Format::quiet) {
    session.terminal.out << event.seq.value << "\n";
  } else { // a stream has no end that one JSON document could have
    session.terminal.out << dump_json(versioned(to_json(event))) << "\n";
  }
}

Result<EventOptions> stream_options(const Session& session, const EventsWanted& o) {
  EventOptions options;
  options.interrupted = session.terminal.interrupted;
  if (session.timeout.count() > 0)
    options.connect_timeout = std::min(options.connect_timeout, session.timeout);
  if (o.from == "start") {
    options.from = Seq(0);
  } else if (o.from != "now") {
    const auto seq = parse_integer(o.from, "--from", 0, std::int64_t{1} << 62);
    if (!seq)
      return fail(Code::bad_field, "--from",
                  "must be now, start or a seq, got '" + printable(o.from) + "'");
    options.from = Seq(static_cast<std::uint64_t>(*seq));
  }
  return options;
}

Exit show_events(Session& session, const EventsWanted& o) {
  using Clock = std::chrono::steady_clock;
  const auto deadline =
    session.timeout.count() > 0 ? Clock::now() + session.timeout : Clock::time_point::max();
  auto options = stream_options(session, o);
  if (!options)
    return session.usage(options.error());
  std::optional<EventPlace> seen;
  if (!o.place.empty()) {
    auto place = read_place(o.place);
    if (!place)
      return session.usage(place.error());
    seen = *place;
    if (seen)
      options->from = seen->seq; // this one again: it may have had more parts
  }
  const bool hooked = !o.exec.empty() || !o.post.empty();
  const Hook hook = o.post.empty() ? Hook{o.exec, {}, o.tries} : webhook(o.post, o.tries);
  if (o.place.empty() && !o.filters.empty()) // else the place moves with each that passes
    options->wanted = [&o](std::string_view topic) { return kind_wanted(topic, o); };
  auto stream = EventStream::open(parse_endpoints(session.endpoints()), *options);
  if (!stream)
    return session.fail(stream.error());
  std::size_t shown = 0;
  while (o.count == 0 || shown < o.count) {
    const auto left = o.past ? Duration(0)
                             : std::chrono::ceil<Duration>(std::min<Clock::duration>(
                                 look_for_events, deadline - Clock::now()));
    if (!o.past && left.count() <= 0)
      return o.count == 0 ? Exit::good
                          : session.fail(Error{Code::timed_out, "",
                                               std::to_string(shown) + " events came in time"});
    auto event = stream->next(left);
    if (!event)
      return session.fail(event.error());
    if (!*event && o.past)
      return Exit::good; // what was kept came before the stream was open
    if (!*event) {
      session.terminal.out.flush();
      continue;
    }
    const Event& e = **event;
    if (seen && std::pair(e.seq, e.part) <= std::pair(seen->seq, seen->part))
      continue;
    if (event_wanted(e, o)) {
      if (!hooked)
        print_event(session, e);
      else if (auto run = run_hook(session.terminal, hook, e); !run)
        return session.fail(run.error());
      session.terminal.out.flush();
      if (!session.terminal.out)
        return Exit::good; // nobody reads any more
      ++shown;
    }
    if (!o.place.empty())
      if (auto written = write_place(o.place, {e.seq, e.part}); !written)
        return session.fail(written.error());
  }
  return Exit::good;
}

} // namespace

void add_events(Command root, Session& session) {
  auto o = std::make_shared<EventsWanted>();
  root
    .verb("events", "Prints what happens, as it happens; goes on after a restart of the master",
          "reeve events --from start --past --filter job\n"
          "  reeve events --filter task.failed --filter node -o jsonl\n"
          "  reeve events --place web.place --filter sla --post https://hooks.example.org/reeve\n"
          "  reeve events --place mail.place --filter node.lost --exec 'logger \"$REEVE_EVENT\"'",
          [&session, o] { return show_events(session, *o); })
    .text("--from", o->from, "now, start (as far back as it is kept) or the seq to begin with",
          "SEQ")
    .list("--filter", o->filters,
          "Only this kind, such as job.ended, or a group such as job; repeatable", "KIND")
    .list("--job", o->jobs, "Only of this job; repeatable", "JOB")
    .list("--node", o->nodes, "Only of this node; repeatable", "NODE")
    .list("--queue", o->queues, "Only of this queue's jobs and tasks; repeatable", "QUEUE")
    .number("--count", o->count, "End after so many; 0: never")
    .flag("--past", o->past, "End when what has happened has been printed")
    .text(
      "--exec", o->exec,
      "Run this by the shell for each, with the event as JSON in $REEVE_EVENT, instead of printing",
      "COMMAND")
    .text("--post", o->post, "Send each to this webhook as JSON, by curl, instead of printing",
          "URL")
    .either("--exec", "--post")
    .number("--tries", o->tries, "Of --exec or --post, when it fails; then this ends")
    .text("--place", o->place, "Keep the place in this file, and go on from there the next time",
          "FILE");
}

} // namespace reeve::cli
