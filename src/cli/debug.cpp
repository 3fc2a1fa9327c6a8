// `reeve debug bundle`: everything that somebody who helps wants to see, in one file. What cannot
// be had is named in it: a bundle is wanted most when something is broken.
#include "src/cli/archive.hpp"
#include "src/cli/commands.hpp"
#include "src/cli/journal_file.hpp"
#include "src/client/events.hpp"
#include "src/util/text.hpp"
#include "src/version.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sys/utsname.h>

namespace reeve::cli {
namespace {

constexpr std::uint64_t events_kept = 1'000;
constexpr std::uint32_t rows_kept = 1'000;
constexpr std::streamoff log_bytes_kept = 2 << 20; // the end of each log file
constexpr Duration event_patience = std::chrono::seconds(1);

struct BundleOptions {
  std::string file, state;
  std::vector<std::string> logs;
};

class Bundle {
public:
  explicit Bundle(TimePoint now) : tar_(now) {}
  void add(const std::string& name, const std::string& text) {
    names_.push_back(name);
    tar_.add(folder + name, without_secrets(text));
  }
  void add(const std::string& name, const Json& json) { add(name, dump_json(json, true) + "\n"); }
  void missing(const std::string& what, const Error& error) {
    missing_.push_back(Json{{"what", what}, {"why", error.message()}});
  }
  template<class T> void add(const std::string& name, const Result<T>& value) {
    if (value)
      add(name, to_json(*value));
    else
      missing(name, value.error());
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const Json& left_out() const { return missing_; }
  Result<std::string> take() {
    add("missing.json", missing_);
    return gzipped(tar_.take());
  }

private:
  static constexpr const char* folder = "reeve-bundle/";
  Tar tar_;
  std::vector<std::string> names_;
  Json missing_ = Json::array();
};

Json about(const Session& session, TimePoint now) {
  utsname system{};
  uname(&system);
  return Json{{"reeve", std::string(version)},
              {"protocol", protocol_version},
              {"taken_us", to_json(now)},
              {"master", session.endpoints()},
              {"system", std::string(system.sysname) + " " + system.release + " " + system.machine},
              {"compiler", __VERSION__}};
}

/// The newest events, up to `last`, a line each.
Result<std::string> recent_events(const Session& session, Seq last) {
  EventOptions options;
  options.from = Seq(last.value > events_kept ? last.value - events_kept : 0);
  options.connect_timeout = event_patience;
  auto stream = EventStream::open(parse_endpoints(session.endpoints()), options);
  if (!stream)
    return tl::unexpected<Error>(stream.error());
  std::string out;
  for (;;) {
    auto event = stream->next(Duration(0)); // those that are kept came before it was open
    if (!event)
      return tl::unexpected<Error>(event.error());
    if (!*event || (*event)->seq > last)
      return out;
    out += dump_json(to_json(**event)) + "\n";
  }
}

void ask_master(Session& session, Bundle& bundle) {
  auto found = session.client();
  if (!found)
    return bundle.missing("everything of the master", found.error());
  Client& client = **found;
  const auto status = client.ask(GetMaster{}, session.timeout);
  bundle.add("master.json", status);
  bundle.add("config.json", client.ask(GetConfig{}, session.timeout));
  bundle.add("stats.json", client.ask(GetStats{}, session.timeout));
  bundle.add("nodes.json", client.ask(ListNodes{}, session.timeout));
  bundle.add("leases.json", client.ask(ListLeases{}, session.timeout));
  ListJobs jobs;
  jobs.limit = rows_kept;
  bundle.add("jobs.json", client.ask(jobs, session.timeout));
  QueryHistory past;
  past.limit = rows_kept;
  for (const auto& [kind, name] : {std::pair{HistoryKind::jobs, "history/jobs.json"},
                                   std::pair{HistoryKind::attempts, "history/attempts.json"},
                                   std::pair{HistoryKind::nodes, "history/nodes.json"},
                                   std::pair{HistoryKind::config, "history/config.json"}}) {
    past.kind = kind;
    bundle.add(name, client.ask(past, session.timeout));
  }
  if (!status)
    return;
  const auto events = recent_events(session, status->seq);
  if (events)
    bundle.add("events.jsonl", *events);
  else
    bundle.missing("events.jsonl", events.error());
}

/// Sizes of the state folder's files, and of each entry what it is, without what is in it.
void read_state(const std::string& state, Bundle& bundle) {
  std::error_code error;
  Json files = Json::array();
  for (const auto& entry : std::filesystem::directory_iterator(state, error))
    if (std::error_code of_file; entry.is_regular_file(of_file))
      files.push_back(
        Json{{"name", entry.path().filename().string()}, {"bytes", entry.file_size(of_file)}});
  if (error)
    return bundle.missing("state", Error{Code::io, "--state", state + ": " + error.message()});
  bundle.add("state.json", Json{{"folder", state}, {"files", files}});
  const auto headers = read_journal_headers(state, rows_kept);
  if (headers)
    bundle.add("journal.json", *headers);
  else
    bundle.missing("journal.json", headers.error());
}

/// The end of a log, from the beginning of a line.
Result<std::string> end_of(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file || std::filesystem::is_directory(path))
    return fail(Code::io, "--log", path + ": " + std::strerror(errno != 0 ? errno : EIO));
  const auto size = static_cast<std::streamoff>(file.tellg());
  const std::streamoff from = std::max<std::streamoff>(0, size - log_bytes_kept);
  file.seekg(from);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (from > 0)
    text.erase(0, text.find('\n') + 1);
  return text;
}

std::string time_in_name(TimePoint now) {
  std::string out;
  for (const char c : format_time(now))
    out += c == ' ' ? "-" : c == ':' ? "" : std::string(1, c);
  return out;
}

Exit make_bundle(Session& session, BundleOptions o) {
  const TimePoint now = session.terminal.now();
  if (o.file.empty())
    o.file = "reeve-bundle-" + time_in_name(now) + ".tar.gz";
  Bundle bundle(now);
  bundle.add("about.json", about(session, now));
  ask_master(session, bundle);
  if (!o.state.empty())
    read_state(o.state, bundle);
  for (const auto& log : o.logs) {
    const auto text = end_of(log);
    const std::string name = "logs/" + std::filesystem::path(log).filename().string();
    if (text)
      bundle.add(name.substr(0, 80), *text);
    else
      bundle.missing(name, text.error());
  }
  const auto bytes = bundle.take();
  if (!bytes)
    return session.fail(bytes.error());
  const auto unwritten = [&] {
    return session.fail(
      Error{Code::io, "FILE", o.file + ": " + std::strerror(errno != 0 ? errno : EIO)});
  };
  errno = 0;
  {
    std::ofstream file(o.file, std::ios::binary | std::ios::trunc);
    if (!file)
      return unwritten();
    std::filesystem::permissions(o.file, std::filesystem::perms::owner_read |
                                           std::filesystem::perms::owner_write);
    file.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
    file.flush();
    if (!file)
      return unwritten();
  }
  for (const auto& one : bundle.left_out())
    session.note("left out: " + one["what"].get<std::string>() + " (" +
                 one["why"].get<std::string>() + ")");
  session.show_done(
    Json{{"file", o.file}, {"files", bundle.names()}, {"missing", bundle.left_out()}},
    o.file + ": " + std::to_string(bundle.names().size()) + " files, " +
      format_size(static_cast<std::int64_t>(bytes->size())) +
      "; look through it before you give it away");
  return Exit::good;
}

} // namespace

void add_debug(Command root, Session& session) {
  Command noun = root.noun("debug", "For whoever looks for a fault: bundle");
  auto o = std::make_shared<BundleOptions>();
  noun
    .verb("bundle",
          "Writes versions, settings, state, recent events, history, numbers and logs into one "
          "file, secrets removed",
          "reeve debug bundle --state /var/lib/reeve --log /var/log/reeved.log fault.tar.gz",
          [&session, o] { return make_bundle(session, *o); })
    .word("FILE", o->file, "Where to (else reeve-bundle-TIME.tar.gz here)", Command::Need::optional)
    .text("--state", o->state,
          "The master's state folder, when it is on this machine: sizes, and what each entry of "
          "the journal is",
          "DIR")
    .list("--log", o->logs, "The end of this log file, too; repeatable", "FILE");
}

} // namespace reeve::cli
