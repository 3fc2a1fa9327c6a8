// `reeve history`: rows of what was, from the master's history database.
#include "src/cli/commands.hpp"
#include "src/cli/history_rows.hpp"
#include "src/util/text.hpp"

#include <ostream>

namespace reeve::cli {
namespace {

constexpr std::size_t history_page = 1'000;
constexpr std::uint32_t totals_max = 10'000;

struct HistoryOptions {
  std::string kind = "jobs", since, until, name, user, queue, node, state, job, by;
  std::optional<std::uint32_t> task;
  std::size_t limit = 100;
  bool csv = false;
};

Result<QueryHistory> history_query(const HistoryOptions& o, TimePoint now) {
  static const std::map<std::string, HistoryKind> kinds{{"jobs", HistoryKind::jobs},
                                                        {"attempts", HistoryKind::attempts},
                                                        {"nodes", HistoryKind::nodes},
                                                        {"config", HistoryKind::config}};
  QueryHistory query;
  const auto kind = kinds.find(o.kind);
  if (kind == kinds.end())
    return fail(Code::bad_field, "KIND",
                "must be jobs, attempts, nodes or config, got '" + printable(o.kind) + "'");
  query.kind = kind->second;
  query.name = o.name;
  query.user = o.user;
  query.queue = o.queue;
  query.node = o.node;
  query.state = o.state;
  query.by = o.by;
  query.task = o.task;
  if (!o.since.empty()) {
    const auto time = parse_time(o.since, "--since", now);
    if (!time)
      return tl::unexpected<Error>(time.error());
    query.since = *time;
  }
  if (!o.until.empty()) {
    const auto time = parse_time(o.until, "--until", now);
    if (!time)
      return tl::unexpected<Error>(time.error());
    query.until = *time;
  }
  if (!o.job.empty()) {
    const auto id = parse_integer(o.job, "--job", 1, std::int64_t{1} << 62);
    if (!id)
      return tl::unexpected<Error>(id.error());
    query.job = JobId(static_cast<std::uint64_t>(*id));
  }
  return query;
}

/// Page by page until there are `limit` rows; 0: all.
Result<HistoryRows> rows_of(Client& client, QueryHistory query, std::size_t limit,
                            Duration timeout) {
  HistoryRows all;
  while (true) {
    const std::size_t left = limit == 0 ? history_page : limit - all.rows.size();
    if (!query.by.empty()) { // totals have one page
      query.limit = limit == 0
                      ? totals_max
                      : static_cast<std::uint32_t>(std::min(limit, std::size_t{totals_max}));
      return client.ask(query, timeout);
    }
    query.limit = static_cast<std::uint32_t>(std::min(history_page, left));
    auto rows = client.ask(query, timeout);
    if (!rows)
      return rows;
    all.columns = std::move(rows->columns);
    all.next = rows->next;
    all.rows.insert(all.rows.end(), std::make_move_iterator(rows->rows.begin()),
                    std::make_move_iterator(rows->rows.end()));
    if (rows->next == 0 || (limit > 0 && all.rows.size() >= limit))
      return all;
    query.before = rows->next;
  }
}

/// Comma separated with a heading, after RFC 4180, but for line ends as the system's.
void print_csv(std::ostream& out, const HistoryRows& rows) {
  const auto line = [&out](const std::vector<std::string>& cells) {
    for (std::size_t k = 0; k < cells.size(); ++k) {
      out << (k == 0 ? "" : ",");
      if (cells[k].find_first_of(",\"\r\n") == std::string::npos) {
        out << cells[k];
        continue;
      }
      out << '"';
      for (const char c : cells[k])
        out << (c == '"' ? "\"\"" : std::string(1, c));
      out << '"';
    }
    out << "\n";
  };
  line(rows.columns);
  for (const auto& row : rows.rows)
    line(row);
}

Exit show_history(Session& session, const HistoryOptions& o) {
  const auto query = history_query(o, session.terminal.now());
  if (!query)
    return session.usage(query.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto rows = rows_of(**client, *query, o.limit, session.timeout);
  if (!rows)
    return session.fail(rows.error());
  if (o.csv) {
    print_csv(session.terminal.out, *rows);
    return Exit::good;
  }
  std::vector<std::string> quiet;
  for (const auto& row : rows->rows)
    quiet.push_back(row.empty() ? "" : row.front());
  session.show_list(history_json(*rows), "rows",
                    history_table(*rows, session.format == Format::wide), quiet);
  if (rows->next != 0)
    session.note("(more than " + std::to_string(o.limit) + ": --limit 0 shows all)");
  return Exit::good;
}

} // namespace

void add_history(Command root, Session& session) {
  auto o = std::make_shared<HistoryOptions>();
  root
    .verb("history", "Shows what was, newest first: ended jobs and attempts, nodes, settings",
          "reeve history --since 2d --state failed\n"
          "  reeve history attempts --job 5\n"
          "  reeve history nodes --node n1\n"
          "  reeve history attempts --since 7d --by node\n"
          "  reeve history --since 30d --limit 0 --csv",
          [&session, o] { return show_history(session, *o); })
    .word("KIND", o->kind, "jobs, attempts, nodes or config (else jobs)", Command::Need::optional)
    .text("--since", o->since, "Not before: 2h (ago), 2025-01-31, '2025-01-31 10:00', @1738317600",
          "TIME")
    .text("--until", o->until, "Not after", "TIME")
    .text("-n,--name", o->name, "Jobs of this name; may end in *", "NAME")
    .text("-u,--user", o->user, "Jobs of this user", "USER")
    .text("-q,--queue", o->queue, "Jobs in this queue", "QUEUE")
    .text("-s,--state", o->state,
          "Ended so, such as failed; attempts: ended by, such as time_limit", "STATE")
    .text("--node", o->node, "What ran on this node", "NODE")
    .text("--job", o->job, "Of this job", "JOB")
    .number("--task", o->task, "Of this task of --job; attempts only")
    .text("--by", o->by,
          "Totals of each user, queue, name, hour or day, or of all; attempts also: node", "WHAT")
    .number("--limit", o->limit, "At most so many; 0: all")
    .flag("--csv", o->csv, "Comma separated values with a heading; times in microseconds");
}

} // namespace reeve::cli
