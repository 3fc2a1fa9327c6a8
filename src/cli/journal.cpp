// `reeve journal …`: export, import, verify, compact. Works on a master's file or on etcd, not
// through a master.
#include "src/journal/etcd_journal.hpp"

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

bool is_shared(const std::string& path) {
  return path.rfind("etcd://", 0) == 0;
}

/// TLS to etcd by the variables that etcdctl has.
journal::etcd::Tls tls_of(const Session& session) {
  return {session.terminal.env("ETCDCTL_CACERT"), session.terminal.env("ETCDCTL_CERT"),
          session.terminal.env("ETCDCTL_KEY")};
}

Result<std::unique_ptr<journal::Journal>> open_shared(const std::string& url,
                                                      const journal::etcd::Tls& tls) {
  auto options = journal::parse_etcd_url(url);
  if (!options)
    return tl::unexpected<Error>(options.error());
  options->tls = tls;
  auto journal = journal::open_etcd(*options);
  if (!journal)
    return tl::unexpected<Error>(journal.error());
  return std::unique_ptr<journal::Journal>(std::move(*journal));
}

/// The file named, or the one in the state folder; reeved's own rule says where that is.
std::string path_of(const Session& session, const JournalFile& file) {
  if (is_shared(file.path))
    return file.path;
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

Result<std::unique_ptr<journal::Journal>> open_file(const std::string& path, bool read_only,
                                                    const journal::etcd::Tls& tls) {
  if (is_shared(path))
    return open_shared(path, tls);
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
  auto journal = open_file(path_of(session, o.file), true, tls_of(session));
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
  auto journal = open_file(path, true, tls_of(session));
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
  if (is_shared(file.path))
    return session.usage(
      {Code::bad_field, "FILE", "a running master compacts etcd's: reeve master snapshot"});
  auto journal = open_file(path_of(session, file), false, tls_of(session));
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
  journal = open_file(path_of(session, file), true, tls_of(session));
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

struct Import {
  std::string from, to;
};

/// An empty journal to be filled; makes the file, but nothing that is there already is touched.
Result<std::unique_ptr<journal::Journal>> open_new(const Session& session,
                                                   const std::string& path) {
  auto journal = is_shared(path) ? open_shared(path, tls_of(session))
                                 : journal::open_sqlite({.path = path_of(session, {path, {}})});
  if (journal && ((*journal)->last() || (*journal)->epoch()))
    return fail(Code::refused, "TO", path + ": has been used; import into an empty journal");
  return journal;
}

/// Everything that a master needs: the newest snapshot and the entries after it.
Result<Seq> copy_journal(journal::Journal& from, journal::Journal& to, std::uint64_t seconds_now) {
  constexpr std::size_t batch_entries = 1'000, batch_bytes = 64u << 10;
  auto recovered = ledger::recover(from); // nothing is copied that no master could start from
  if (!recovered)
    return tl::unexpected<Error>(recovered.error());
  // Agents obey no epoch that is older than one they have seen; and after a backup was taken there
  // may have been many. One a second there were not.
  const Epoch epoch =
    std::max({recovered->cluster.epoch().next(), from.epoch().next(), Epoch(seconds_now)});
  auto snapshot = from.load_snapshot();
  if (!snapshot)
    return tl::unexpected<Error>(snapshot.error());
  auto done = to.acquire(epoch, "reeve journal import");
  if (done && snapshot->seq)
    done = to.seed(*snapshot);
  journal::Batch batch{snapshot->seq.next(), {}};
  std::size_t bytes = 0;
  const auto flush = [&]() -> Result<void> {
    if (batch.entries.empty())
      return {};
    auto stored = to.append({&batch, 1});
    batch = {batch.last().next(), {}};
    bytes = 0;
    return stored;
  };
  if (done)
    done = from.read(batch.first, [&](Seq, std::string_view entry) -> Result<void> {
      batch.entries.emplace_back(entry);
      bytes += entry.size();
      return batch.entries.size() < batch_entries && bytes < batch_bytes ? Result<void>() : flush();
    });
  if (done)
    done = flush();
  if (done) // the next master takes the reign at once, instead of waiting for this one to be silent
    done = to.release();
  if (!done)
    return tl::unexpected<Error>(done.error());
  const auto copied = ledger::recover(to);
  if (!copied)
    return tl::unexpected<Error>(copied.error());
  if (copied->cluster.state_hash() != recovered->cluster.state_hash())
    return fail(Code::internal, "TO", "the copy leads to another state than the original");
  return to.last();
}

Exit import_journal(Session& session, const Import& o) {
  auto from = open_file(path_of(session, {o.from, {}}), true, tls_of(session));
  if (!from)
    return session.fail(from.error());
  auto to = open_new(session, o.to);
  if (!to)
    return session.fail(to.error());
  const auto now = session.terminal.now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const auto last = copy_journal(**from, **to, static_cast<std::uint64_t>(seconds));
  if (!last)
    return session.fail(last.error());
  session.show_done(Json{{"last", last->value}, {"from", o.from}, {"to", o.to}},
                    "copied up to entry " + std::to_string(last->value) + ", and checked");
  return Exit::good;
}

Command& add_file(Command& c, JournalFile& file) {
  return c
    .word("FILE", file.path,
          "journal.db, the folder it lies in, or etcd://… (else the one of --state)",
          Command::Need::optional)
    .text("--state", file.state, "The master's state folder (else where reeved would look)", "DIR");
}

struct Verified {
  std::unique_ptr<journal::Journal> journal;
  journal::Health health;
};
/// `path`: the file, or the folder it lies in.
Result<Verified> open_to_read(const std::string& path) {
  std::error_code ignored;
  auto journal = open_file(std::filesystem::is_directory(path, ignored)
                             ? (std::filesystem::path(path) / "journal.db").string()
                             : path,
                           true, {});
  if (!journal)
    return tl::unexpected<Error>(journal.error());
  auto health = (*journal)->verify();
  if (!health)
    return tl::unexpected<Error>(health.error());
  return Verified{std::move(*journal), std::move(*health)};
}

} // namespace

Result<Json> read_journal_headers(const std::string& path, std::size_t most) {
  const auto opened = open_to_read(path);
  if (!opened)
    return tl::unexpected<Error>(opened.error());
  const journal::Health& health = opened->health;
  Json entries = Json::array();
  const Seq from(
    std::max(health.first.value, health.last.value > most ? health.last.value - most + 1 : 0));
  if (health.last && health.first) {
    const auto read =
      opened->journal->read(from, [&](Seq seq, std::string_view bytes) -> Result<void> {
        const auto entry = decode_entry(seq, bytes);
        entries.push_back(Json{{"seq", seq.value},
                               {"bytes", bytes.size()},
                               {"time_us", entry ? to_json(entry->time) : Json(nullptr)},
                               {"type", entry ? Json(std::string(name_of(entry->fact)))
                                              : Json(entry.error().message())}});
        return {};
      });
    if (!read)
      return tl::unexpected<Error>(read.error());
  }
  return Json{{"first", health.first.value},
              {"last", health.last.value},
              {"snapshot", health.snapshot.value},
              {"epoch", opened->journal->epoch().value},
              {"torn_tail", health.torn_tail},
              {"bytes", health.bytes},
              {"entries", entries}};
}

Result<std::vector<Entry>> read_journal_entries(const std::string& path) {
  const auto opened = open_to_read(path);
  if (!opened)
    return tl::unexpected<Error>(opened.error());
  const journal::Health& health = opened->health;
  std::vector<Entry> out;
  if (!health.first)
    return out; // a snapshot has taken the place of all
  const auto read =
    opened->journal->read(health.first, [&](Seq seq, std::string_view bytes) -> Result<void> {
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
  Command noun =
    root.noun("journal", "A master's journal, a file or in etcd: export, import, verify, compact");
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
    auto o = std::make_shared<Import>();
    noun
      .verb("import", "Copies a journal into a new, empty one, from file to etcd or back",
            "reeve journal import /var/lib/reeve etcd://127.0.0.1:2379/reeve",
            [&session, o] { return import_journal(session, *o); })
      .word("FROM", o->from,
            "journal.db, the folder it lies in, or etcd://…; no master may write to it",
            Command::Need::needed)
      .word("TO", o->to, "the same; empty, or not there yet", Command::Need::needed);
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
