// See refill.hpp.
#include "actors/refill.hpp"

#include "src/ledger/recover.hpp"

namespace reeve::actors {
namespace {

constexpr std::size_t entries_a_batch = 1'000, batches_at_once = 16, jobs_at_once = 10'000;

/// Jobs and nodes as the snapshot holds them: of those that have not ended the end will come.
Result<void> adopt(const core::Cluster& cluster, history::History& history) {
  std::vector<std::pair<NodeId, std::string>> names;
  for (const auto& [id, node] : cluster.nodes())
    names.emplace_back(id, node.name);
  history::Specs specs;
  std::vector<history::JobRow> jobs;
  const auto hand_over = [&] {
    auto adopted = history.adopt(jobs, names);
    jobs.clear();
    names.clear();
    return adopted;
  };
  for (JobId id = cluster.oldest_job(); id <= cluster.newest_job(); id = id.next()) {
    const core::Job* job = cluster.find_job(id);
    if (job == nullptr)
      continue;
    auto spec = std::make_shared<history::SpecInfo>(*specs.read(cluster.spec_for_agents(id)));
    spec->tasks = job->count;
    jobs.push_back({id, std::move(spec), job->submitted});
    if (jobs.size() == jobs_at_once)
      if (auto adopted = hand_over(); !adopted)
        return adopted;
  }
  return hand_over();
}

} // namespace

Result<void> refill(journal::Journal& journal, history::History& history, Seq upto) {
  auto recovered = ledger::recover_snapshot(journal);
  if (!recovered)
    return tl::unexpected(recovered.error());
  core::Cluster& cluster = recovered->cluster;
  const Seq snapshot = recovered->snapshot;
  if (history.last() < snapshot) {
    if (auto adopted = adopt(cluster, history); !adopted)
      return adopted;
    const Seq end = std::min(snapshot, upto);
    if (auto noted = history.note_gap(end, "not in the journal any more"); !noted)
      return noted;
  }

  const Seq before = history.last();
  std::vector<core::CommittedPtr> ready;
  auto open = std::make_shared<core::Committed>();
  const auto record = [&](bool all) -> Result<void> {
    if (!open->entries.empty() && (all || open->entries.size() >= entries_a_batch)) {
      ready.push_back(std::move(open));
      open = std::make_shared<core::Committed>();
    }
    if (ready.empty() || (!all && ready.size() < batches_at_once))
      return {};
    auto recorded = history.record(ready);
    ready.clear();
    return recorded;
  };
  const Error enough{Code::ok, {}, {}};
  auto read = journal.read(snapshot.next(), [&](Seq seq, std::string_view bytes) -> Result<void> {
    if (seq > upto)
      return tl::unexpected(enough);
    auto entry = decode<Entry>(bytes, stored_limits);
    if (!entry)
      return tl::unexpected(entry.error());
    core::Changes changes;
    if (auto replayed = cluster.replay(seq, *entry, changes); !replayed)
      return replayed;
    if (seq <= before)
      return {};
    if (open->entries.empty())
      open->first = seq;
    open->entries.push_back(std::move(*entry));
    open->changes.insert(open->changes.end(), std::make_move_iterator(changes.begin()),
                         std::make_move_iterator(changes.end()));
    return record(false);
  });
  if (!read && read.error().code != Code::ok)
    return read;
  return record(true);
}

} // namespace reeve::actors
