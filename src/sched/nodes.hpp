// The scheduler's nodes: what each has free, which kinds of work it is good for, and, for a task,
// the node that a ranking puts first. A change of one node costs O(log n), so does a choice. Owned
// by Scheduler. Knows no jobs; reads no clock.
#pragma once

#include "src/sched/amounts.hpp"
#include "src/sched/queue_settings.hpp"
#include "src/sched/ranked.hpp"

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>

namespace reeve::sched {

/// A node's place in the table; a new node may get the place of a forgotten one.
using At = std::uint32_t;
constexpr At nowhere = ~At{0};
/// Nodes that fit what a kind demands besides amounts: executor and labels.
using Pool = std::uint32_t;

constexpr std::uint64_t pool_bits = 60; // pools beyond share a bit
constexpr std::uint64_t bit_of(Pool pool) {
  return std::uint64_t{1} << (pool % pool_bits);
}

struct alignas(64) Node { // what a placement looks at comes first
  NodeId id;
  bool known = false;
  bool listed = false;  // in the indexes
  bool works = false;   // up, not draining, not closed
  bool suspect = false; // may be dead: no new work
  bool pulls = false;   // is given work only when it asks
  bool asks = false;    // of one that pulls: may be given work
  std::uint32_t leases = 0;
  std::uint32_t reservations = 0;
  std::uint64_t version = 0; // another when something may be another here
  std::vector<std::uint32_t> flights;
  std::int64_t room_used = 0;
  JobId exclusive; // has it alone
  std::uint64_t mask = 0;
  TimePoint quarantined; // until then
  TimePoint busy_until;  // as far as is known
  double slowness = 1;   // run times here, against those elsewhere
  Duration delay{0};     // from a placement to the report of its end, the run time taken off
  TimePoint sulking;     // refused something; asked again then
  Duration sulk{0};
  std::map<std::string, std::uint32_t> limits; // tasks by the limits they carry, per node
  core::NodeChanged facts;
};

class Nodes {
public:
  Nodes();

  // ---- facts. What follows from them is reckoned by `settle`.
  At changed(const core::NodeChanged& facts);
  void forgotten(NodeId node);
  void available(NodeId node, const Resources& available);
  void leased(NodeId node, bool more);
  /// Wishes on their way book `n` more tasks (or less) than is confirmed.
  void wished(At at, const Amounts& booking, std::int64_t n);
  void forget_wishes(); // they are told again
  void touch(At at) {
    note(at);
    if (!marks_[at].touched) {
      marks_[at].touched = true;
      touched_.push_back(at);
    }
  }
  /// It will be asked for soon.
  void prefetch(At at) const {
    fetch(&nodes_[at]);
    fetch(&nodes_[at].mask);
    fetch(&nodes_[at].facts.available);
    const std::int64_t* rows = row(base_, at).data();
    fetch(rows);
    fetch(rows + 8);
    fetch(rows + 16);
  }
  /// All nodes that may be dead.
  void suspect(std::set<NodeId> nodes);
  [[nodiscard]] const std::set<NodeId>& suspects() const { return suspects_; }
  /// So much of each resource is kept on every node, in percent. True: columns were added.
  bool set_reserve(const std::map<std::string, std::uint32_t>& percents);
  /// Something that others reckon with is another there now.
  void note(At at) { nodes_[at].version = ++versions_; }
  /// It is faster, slower or busy for another time than it was.
  void late_in_time(At at);
  /// Brings indexes up to date with everything touched. `now`: quarantines end, sulks pass.
  void settle(TimePoint now) {
    if (!touched_.empty() || !wakes_.empty())
      settle_touched(now);
  }
  [[nodiscard]] std::optional<TimePoint> next_wake() const {
    return wakes_.empty() ? std::nullopt : std::optional(wakes_.begin()->first);
  }
  /// Returns whether a kind needs columns that were not there: everything was reckoned anew.
  bool ask_for(const core::Kind& kind);
  bool ask_for(const Column& column);
  void set_seed(std::uint64_t seed);
  /// Gets ready to choose by a ranking; and forgets all that.
  void use(Ranking ranking) { with_room(ranking); }
  void use_none();

  // ---- reading
  [[nodiscard]] At find(NodeId node) const {
    return node.value < by_id_.size() ? by_id_[node.value] : nowhere;
  }
  [[nodiscard]] const Node& operator[](At at) const { return nodes_[at]; }
  Node& operator[](At at) { return nodes_[at]; }
  [[nodiscard]] std::size_t places() const { return nodes_.size(); }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const Columns& columns() const { return columns_; }
  /// What is free, wishes taken off. And what others than those with a reservation see of it.
  [[nodiscard]] std::span<const std::int64_t> free(At at) const { return row(free_, at); }
  [[nodiscard]] std::span<const std::int64_t> seen(At at) const { return row(seen_, at); }
  /// The node's whole capacity by columns.
  [[nodiscard]] std::span<const std::int64_t> whole(At at) const { return row(whole_, at); }
  /// All nodes that could work, together.
  [[nodiscard]] const Sums& total() const { return total_; }
  /// The same to divide by; 0 where the column is no resource.
  [[nodiscard]] const std::vector<double>& shared() const { return shared_; }
  [[nodiscard]] bool takes_work(At at, TimePoint now) const {
    const Node& n = nodes_[at];
    return may_work(at, now) && n.sulking <= now && (!n.pulls || n.asks);
  }
  /// The same, but for what passes soon: it sulks, or has not asked.
  [[nodiscard]] bool may_work(At at, TimePoint now) const {
    const Node& n = nodes_[at];
    return n.known && n.works && !n.suspect && n.quarantined <= now;
  }
  /// The values that nodes have of a label, sorted.
  [[nodiscard]] const std::set<std::string>& values_of(const std::string& label);
  /// Grows when a node shows more of something.
  [[nodiscard]] std::uint64_t gains() const { return gains_; }
  /// Grows with every change that could make an impossible kind possible.
  [[nodiscard]] std::uint64_t facts_version() const { return facts_version_; }

  // ---- pools
  Pool pool_of(const core::KindPtr& kind);
  void release(Pool pool);
  [[nodiscard]] bool in_pool(Pool pool, At at) const { return pools_[pool].fit[at]; }
  [[nodiscard]] std::uint32_t pool_size(Pool pool) const { return pools_[pool].count; }

  // ---- choosing
  using Accept = std::function<bool(At)>;
  /// The first node by the ranking that is in the pool, shows at least `want` of each column
  /// (lowest for what is not needed) and is accepted (null: all are). `turn`: round-robin's memory.
  /// `run_time`: expected on a node of usual speed, for least_time_first; 0: nobody knows, then the
  /// fastest node is the first.
  At pick(Ranking ranking, const Amounts& want, const Amounts& need, Pool pool, At& turn,
          const Accept* accept, Duration run_time = Duration(0));
  /// Calls f for listed nodes of the pool, those that are expected to be idle soonest first, until
  /// it returns true.
  void each_by_time(Pool pool, const Accept& f);
  /// The most of each column that any listed node shows; empty: none is listed.
  void most(Amounts& out);

  // ---- nodes that have gained since the last clean()
  [[nodiscard]] bool any_dirty() const { return dirty_count_ > 0; }
  void most_dirty(Amounts& out);
  [[nodiscard]] std::uint64_t dirty_mask() {
    list_dirty();
    return dirty_.mask();
  }
  void clean();

  /// What `seen` shows of a node with reservations, given what is free.
  using Shown = std::function<void(At, std::span<std::int64_t>)>;
  Shown show_reserved;

private:
  struct PoolData {
    std::string name;
    core::KindPtr like;
    std::vector<bool> fit;
    std::uint32_t count = 0, users = 0;
  };
  struct Index {
    explicit Index(std::size_t columns) : tree(columns, where) {}
    Ranked::Where where;
    Ranked tree;
  };

  /// What is known of a node by columns, row by row; those of one node lie together.
  enum Row : std::uint8_t { base_, wished_, free_, seen_, capacity_, whole_, row_count };
  [[nodiscard]] std::span<const std::int64_t> row(Row which, At at) const {
    return {rows_.data() + (at * row_count + which) * row_length_, row_length_};
  }
  [[nodiscard]] std::span<std::int64_t> row(Row which, At at) {
    return {rows_.data() + (at * row_count + which) * row_length_, row_length_};
  }
  void set_capacity(At at);
  void set_base(At at, const Resources& available);
  [[nodiscard]] std::int64_t kept(const Resources& capacity, const std::string& name) const;
  void rebuild();
  void settle_touched(TimePoint now);
  void refresh(At at, TimePoint now);
  void unlist(At at);
  void late(At at);
  [[nodiscard]] static bool fits_pool(const Node& node, const PoolData& pool);
  void sort_into_pools(At at);
  void count_total(At at, std::int64_t sign);
  [[nodiscard]] Key key(Ranking ranking, At at) const;
  [[nodiscard]] double used_share(At at, const Amounts* more) const;
  Index& index(Ranking ranking);
  void list_exact();
  /// The same, with true amounts.
  Index& with_room(Ranking ranking);
  std::uint64_t random();

  Columns columns_;
  HugeVector<Node> nodes_;
  std::vector<At> empty_;
  std::vector<At> by_id_;
  std::size_t count_ = 0;
  HugeVector<std::int64_t> rows_;
  std::size_t row_length_ = 0;      // columns in rows_
  std::optional<std::size_t> idle_; // the column
  Amounts scratch_;
  Sums total_;
  std::vector<double> shared_;
  std::vector<double> weights_; // of columns, for best-fit: 1 / the most a node has
  std::array<std::unique_ptr<Index>, rankings> indexes_;
  struct Exact { // those that are there and always true: all but by_time
    Ranking ranking;
    Ranked* tree;
  };
  std::vector<Exact> exact_;
  Ranked::Where dirty_where_;
  Ranked dirty_;
  /// Nodes that have gained. Their entries in dirty_ are brought up to date when it is asked.
  void list_dirty();
  std::vector<At> dirty_list_, dirty_late_;
  std::size_t dirty_count_ = 0;
  struct Marks {
    bool dirty = false, in_dirty = false, late = false, touched = false;
    bool in_time = false, time_late = false; // in the index by_time; it says something old
  };
  static constexpr auto by_time = static_cast<std::size_t>(Ranking::least_time_first);
  void list_by_time();
  std::vector<At> time_late_;
  struct InTime { // what the index by_time says of a node
    Key key;
    std::uint64_t mask = 0;
    bool operator==(const InTime&) const = default;
  };
  std::vector<InTime> in_time_;
  bool room_by_time_ = false; // it is asked for room, too: the amounts in it must be true
  std::vector<Marks> marks_;
  std::vector<At> touched_;
  std::set<std::pair<TimePoint, At>> wakes_; // ends of quarantines and sulks
  std::vector<PoolData> pools_;
  std::unordered_map<std::string, Pool> pool_names_;
  std::uint64_t facts_version_ = 0, gains_ = 0, versions_ = 0;
  std::map<std::string, std::set<std::string>>
    label_values_; // those asked for, since the last change
  std::uint64_t label_values_version_ = 0;
  std::uint64_t random_ = 1;
  std::set<NodeId> suspects_;
  std::map<std::string, std::uint32_t> reserve_; // percent
};

} // namespace reeve::sched
