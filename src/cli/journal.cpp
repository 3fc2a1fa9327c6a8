// `reeve journal …`: export, verify, compact. Works on a master's file, not through a master.
#include "src/journal/journal.hpp"

#include "src/cli/commands.hpp"
#include "src/cli/journal_file.hpp"
#include "src/ledger/recover.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <filesystem>
#include <ostream>

namespace reeve::cli {
namespace {

struct JournalFile {
  std::string path, state;
};

/// The file named, or the one in the state folder; reeved's own rule says where that is.
std::string path_of(const Session& session, const JournalFile& file) {
  if (!file.path.empty())
    return std::filesystem::is_directory(file.path)
             ? (std::filesystem::path(file.path) / "journal.db").string()
             : file.path;
  std::string state = file.state;
  if (state.empty() && session.terminal.user == "root")
    state = "/var/lib/reeve";
  if (state.empty()) {
    const std::string xdg = session.terminal.env("XDG_STATE_HOME");
    state = xdg.empty() ? session.terminal.env("HOME") + "/.local/state/reeve" : xdg + "/reeve";
  }
  return (std::filesystem::path(state) / "journal.db").string();
}

Result<std::unique_ptr<journal::Journal>> open_file(const std::string& path, bool read_only) {
  journal::SqliteOptions options;
  options.path = path;
  options.read_only = read_only;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) // a tool makes no journals
    return fail(Code::not_found, "FILE", path + ": no such journal");
  return journal::open_sqlite(options);
}

Result<Entry> decode_entry(Seq seq, std::string_view bytes) {
  auto entry = decode<Entry>(bytes, stored_limits);
  if (!entry)
    return fail(Code::corrupt, "entry " + std::to_string(seq.value), entry.error().message());
  return entry;
}

struct Export {
  JournalFile file;
  std::string from, to;
};

Result<Seq> seq_option(const std::string& text, const char* field, Seq otherwise) {
  if (text.empty())
    return otherwise;
  const auto seq = parse_integer(text, field, 1, std::int64_t{1} << 62);
  if (!seq)
    return tl::unexpected<Error>(seq.error());
  return Seq(static_cast<std::uint64_t>(*seq));
}

Exit export_entries(Session& session, const Export& o) {
  const auto from = seq_option(o.from, "--from", Seq(0));
  if (!from)
    return session.usage(from.error());
  const auto to = seq_option(o.to, "--to", Seq(std::uint64_t{1} << 62U));
  if (!to)
    return session.usage(to.error());
  auto journal = open_file(path_of(session, o.file), true);
  if (!journal)
    return session.fail(journal.error());
  Seq first = *from;
  if (!first) { // the first that is still there
    const auto health = (*journal)->verify();
    if (!health)
      return session.fail(health.error());
    if (!health->first)
      return Exit::good; // a snapshot has taken the place of all
    first = health->first;
  }
  const Error enough{Code::ok, "", ""};
  const auto read = (*journal)->read(first, [&](Seq seq, std::string_view bytes) -> Result<void> {
    if (seq > *to || session.terminal.interrupted())
      return tl::unexpected<Error>(enough);
    const auto entry = decode_entry(seq, bytes);
    if (!entry)
      return tl::unexpected<Error>(entry.error());
    Json line;
    line["seq"] = seq.value;
    const Json body = to_json(*entry);
    line["time_us"] = body["time_us"];
    line["type"] = body["fact"]["type"];
    line["body"] = body["fact"]["body"];
    session.terminal.out << dump_json(versioned(line)) << "\n";
    return session.terminal.out ? Result<void>() : tl::unexpected<Error>(enough);
  });
  if (!read && read.error() != enough)
    return session.fail(read.error());
  return session.terminal.interrupted() ? Exit::interrupted : Exit::good;
}

Exit verify_journal(Session& session, const JournalFile& file) {
  const std::string path = path_of(session, file);
  auto journal = open_file(path, true);
  if (!journal)
    return session.fail(journal.error());
  const auto health = (*journal)->verify();
  if (!health)
    return session.fail(health.error());
  // Bytes that pass their check may still be of a newer program, or not fit together.
  const auto recovered = ledger::recover(**journal);
  if (!recovered)
    return session.fail(recovered.error());
  const auto number = [](Seq seq) { return std::to_string(seq.value); };
  Json json;
  json["path"] = path;
  json["first"] = health->first.value;
  json["last"] = health->last.value;
  json["snapshot"] = health->snapshot.value;
  json["bytes"] = health->bytes;
  json["torn_tail"] = health->torn_tail;
  json["epoch"] = (*journal)->epoch().value;
  json["replayed"] = recovered->replayed;
  session.show_object(
    json,
    {{"Journal", path},
     {"Health", health->torn_tail.empty() ? "good" : "good, but for its end"},
     {"Torn end", health->torn_tail},
     {"Entries", !health->last    ? "none"
                 : !health->first ? "none after the snapshot"
                                  : number(health->first) + " to " + number(health->last)},
     {"Snapshot", health->snapshot ? "after entry " + number(health->snapshot) : "none"},
     {"Epoch", std::to_string((*journal)->epoch().value)},
     {"A start reads", std::to_string(recovered->replayed) + " entries"},
     {"Size", format_size(static_cast<std::int64_t>(health->bytes))}},
    "good");
  return Exit::good;
}

Exit compact_journal(Session& session, const JournalFile& file) {
  auto journal = open_file(path_of(session, file), false);
  if (!journal)
    return session.fail(journal.error());
  const auto before = (*journal)->verify();
  if (!before)
    return session.fail(before.error());
  const auto snapshot = ledger::make_snapshot(**journal);
  if (!snapshot)
    return session.fail(snapshot.error());
  // An epoch of its own: should a master have read the old state meanwhile, it is fenced.
  auto done = (*journal)
                ->acquire((*journal)->epoch().next(), "reeve journal compact")
                .and_then([&] { return (*journal)->save_snapshot(*snapshot); })
                .and_then([&] { return (*journal)->truncate(snapshot->seq); });
  if (!done)
    return session.fail(done.error());
  journal->reset(); // only then is the log folded into the file
  journal = open_file(path_of(session, file), true);
  const auto after = journal ? (*journal)->verify()
                             : Result<journal::Health>(tl::unexpected<Error>(journal.error()));
  if (!after)
    return session.fail(after.error());
  Json json;
  json["snapshot"] = snapshot->seq.value;
  json["bytes_before"] = before->bytes;
  json["bytes_after"] = after->bytes;
  session.show_done(json, "snapshot after entry " + std::to_string(snapshot->seq.value) + "; " +
                            format_size(static_cast<std::int64_t>(before->bytes)) + " before, " +
                            format_size(static_cast<std::int64_t>(after->bytes)) + " now");
  return Exit::good;
}

Command& add_file(Command& c, JournalFile& file) {
  return c
    .word("FILE", file.path, "journal.db, or the folder it lies in (else the one of --state)",
          Command::Need::optional)
    .text("--state", file.state, "The master's state folder (else where reeved would look)", "DIR");
}

} // namespace

namespace {
/// `path`: the file, or the folder it lies in.
Result<std::unique_ptr<journal::Journal>> open_to_read(const std::string& path) {
  std::error_code ignored;
  return open_file(std::filesystem::is_directory(path, ignored)
                     ? (std::filesystem::path(path) / "journal.db").string()
                     : path,
                   true);
}
} // namespace

Result<Json> read_journal_headers(const std::string& path, std::size_t most) {
  auto journal = open_to_read(path);
  if (!journal)
    return tl::unexpected<Error>(journal.error());
  const auto health = (*journal)->verify();
  if (!health)
    return tl::unexpected<Error>(health.error());
  Json entries = Json::array();
  const Seq from(
    std::max(health->first.value, health->last.value > most ? health->last.value - most + 1 : 0));
  if (health->last && health->first) {
    const auto read = (*journal)->read(from, [&](Seq seq, std::string_view bytes) -> Result<void> {
      const auto entry = decode_entry(seq, bytes);
      entries.push_back(Json{
        {"seq", seq.value},
        {"bytes", bytes.size()},
        {"time_us", entry ? to_json(entry->time) : Json(nullptr)},
        {"type", entry ? Json(std::string(name_of(entry->fact))) : Json(entry.error().message())}});
      return {};
    });
    if (!read)
      return tl::unexpected<Error>(read.error());
  }
  return Json{{"first", health->first.value},
              {"last", health->last.value},
              {"snapshot", health->snapshot.value},
              {"epoch", (*journal)->epoch().value},
              {"torn_tail", health->torn_tail},
              {"bytes", health->bytes},
              {"entries", entries}};
}

Result<std::vector<Entry>> read_journal_entries(const std::string& path) {
  auto journal = open_to_read(path);
  if (!journal)
    return tl::unexpected<Error>(journal.error());
  const auto health = (*journal)->verify();
  if (!health)
    return tl::unexpected<Error>(health.error());
  std::vector<Entry> out;
  if (!health->first)
    return out; // a snapshot has taken the place of all
  const auto read =
    (*journal)->read(health->first, [&](Seq seq, std::string_view bytes) -> Result<void> {
      auto entry = decode_entry(seq, bytes);
      if (!entry)
        return tl::unexpected<Error>(entry.error());
      out.push_back(std::move(*entry));
      return {};
    });
  if (!read)
    return tl::unexpected<Error>(read.error());
  return out;
}

void add_journal_commands(Command root, Session& session) {
  Command noun = root.noun("journal", "A master's journal file: export, verify, compact");
  {
    auto o = std::make_shared<Export>();
    Command c = noun.verb("export", "Prints entries as JSON, one a line; a master may be running",
                          "reeve journal export /var/lib/reeve/journal.db --from 100",
                          [&session, o] { return export_entries(session, *o); });
    add_file(c, o->file)
      .text("--from", o->from, "The first (else the first that is there)", "SEQ")
      .text("--to", o->to, "The last (else the last)", "SEQ");
  }
  {
    auto file = std::make_shared<JournalFile>();
    Command c = noun.verb("verify", "Checks every byte, and that a master could start from it",
                          "reeve journal verify --state /var/lib/reeve",
                          [&session, file] { return verify_journal(session, *file); });
    add_file(c, *file);
  }
  {
    auto file = std::make_shared<JournalFile>();
    Command c = noun.verb("compact",
                          "Replaces entries by a snapshot of the state; the master must be stopped",
                          "reeve journal compact --state /var/lib/reeve",
                          [&session, file] { return compact_journal(session, *file); });
    add_file(c, *file);
  }
}

} // namespace reeve::cli
