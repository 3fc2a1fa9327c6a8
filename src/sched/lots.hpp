// What waits, in the order in which it will be served. Jobs that are alike stand together in a lot;
// lots stand in a line of their queue (or, where users share fairly, of their user in that queue);
// lines stand in shelves, up to one that holds all queues. Finding the first lot in that order
// whose task fits somewhere costs O(log n), so does any change. Owned by Scheduler. Knows no nodes,
// no single tasks; reads no clock.
#pragma once

#include "src/sched/amounts.hpp"
#include "src/sched/estimate.hpp"
#include "src/sched/nodes.hpp"
#include "src/sched/queue_settings.hpp"
#include "src/sched/ranked.hpp"

#include <optional>
#include <set>
#include <unordered_map>

namespace reeve::sched {

using LotId = std::uint32_t;
using ShelfId = std::uint32_t;
constexpr std::uint32_t nobody = ~std::uint32_t{0};

/// Bits of a lot in the trees, beside those of its pool.
constexpr std::uint64_t closed_bit = std::uint64_t{1} << 61; // not open; seen even on shut shelves
constexpr std::uint64_t open_bit = std::uint64_t{1} << 62;   // not known to fit nowhere
constexpr std::uint64_t waits_bit = std::uint64_t{1} << 63;  // any lot
static_assert(pool_bits <= 61);

/// Jobs in the order of their ids, mostly added at the end and taken from the front: each knows the
/// next one itself (see Jobs, which keeps the line).
struct JobLine {
  JobId first, last;    // 0: nobody is in line
  std::set<JobId> late; // came back: older than the last, and in no place
};

/// What all lots of one kind share. What is asked at every placement is here and not at the kind,
/// which lies elsewhere.
struct alignas(64) Measure {
  core::KindPtr kind;
  Pool pool = 0;
  std::uint32_t lots = 0;
  std::uint32_t max_parallel = 0;
  bool overcommit = false, gang = false, exclusive = false, speculate = false;
  bool limits = false, limits_per_node = false, affinity = false, spread = false;
  Duration told{0};     // its estimate
  EstimatePtr estimate; // null: nothing is learned of it
  Amounts need, cost, booking;
  Amounts want; // the need as Nodes::pick asks it
  Amounts less; // the need as the trees hold it
  /// A node with room may be refused.
  [[nodiscard]] bool picky() const { return affinity || limits_per_node; }
};

struct alignas(64) Lot {      // three lines of the cache
  Measure* measure = nullptr; // null: free to be used
  std::uint32_t size = 0;     // tasks of each job
  std::uint32_t queue = 0;
  ShelfId shelf = nobody;
  JobLine line;
  std::uint64_t members = 0; // jobs of this lot, waiting or not
  std::int64_t running = 0;  // slots
  JobId head;                // the first that waits; 0: none, and then it is on no shelf
  TimePoint head_since;
  bool overdue = false;
  bool shelved = false;             // in its shelf's tree
  bool open = true;                 // may fit on a node that has not changed
  bool passed = false;              // fits nowhere, as was found in this pass
  bool armed = false;               // a timer runs for its becoming overdue
  std::uint64_t impossible = 0;     // no node is large enough, as of this version of their facts
  std::optional<Duration> run_time; // expected
  Duration wait{0};                 // expected before its best node has room, for sct

  [[nodiscard]] const core::Kind& kind() const { return *measure->kind; }
};
static_assert(sizeof(Lot) <= 192);

struct Shelf {
  ShelfId above = nobody;
  std::string name; // of the queue or user
  std::uint32_t queue = nobody;
  bool holds_lots = false; // else shelves
  bool shares = false;     // what it holds is served by share, else by the first in line
  bool of_user = false;
  double weight = 1;
  std::uint32_t children = 0;
  Sums usage;
  Quota quota;
  Amounts left;      // of its quota; plenty where there is none
  bool shut = false; // paused, or strict and its first lot finds no room
  bool shelved = false;
  Key key;           // in the tree above; what is alone there may have an older one in it
  bool late = false; // which is so
  Ranked tree;
  Shelf(std::size_t columns, Ranked::Where& where) : tree(columns, where) {}
};

struct Queue {
  std::string name;
  QueueSettings settings;
  ShelfId shelf = nobody; // everything of this queue
  ShelfId own = nobody;   // its own lots or users; the same unless there are queues inside
  std::unordered_map<std::string, ShelfId> users;
  std::uint64_t ready = 0;  // tasks that could be placed
  std::int64_t running = 0; // slots
  std::uint32_t lots = 0;
  At turn = nowhere - 1;                   // round-robin
  std::vector<std::uint32_t> reservations; // ids, in order
  JobId preempt_for;                       // nothing could be done for it,
  TimePoint preempt_after;                 // as far as is known until then
};

class Lots {
public:
  explicit Lots(Nodes& nodes);

  /// Queues have other settings now: all lots are put in place again.
  void configure(const AllQueueSettings& settings);
  [[nodiscard]] const AllQueueSettings& settings() const { return settings_; }
  /// Columns have been added: all amounts are reckoned anew.
  void columns_changed();

  /// The lot for a job of this kind. Counts it as a member.
  LotId join(const core::KindPtr& kind, std::uint32_t tasks);
  /// A member less. The last one takes the lot with it.
  void leave(LotId lot);
  Lot& operator[](LotId lot) { return lots_[lot]; }
  [[nodiscard]] const Lot& operator[](LotId lot) const { return lots_[lot]; }
  [[nodiscard]] std::size_t places() const { return lots_.end(); }
  Queue& queue_of(LotId lot) { return queues_[lots_[lot].queue]; }
  [[nodiscard]] const Queue& queue_of(LotId lot) const { return queues_[lots_[lot].queue]; }
  [[nodiscard]] Fixed<Queue>& queues() { return queues_; }
  [[nodiscard]] const Fixed<Queue>& queues() const { return queues_; }
  [[nodiscard]] const Shelf& shelf(ShelfId id) const { return shelves_[id]; }
  /// Round-robin goes on with this node, in every queue, also in those to come.
  void next_in_turn(At at);

  /// The lot's head, its age, or what its key depends on is another now: puts it where it belongs.
  void place(LotId lot);
  void take_off(LotId lot); // its shelf, as long as nothing of it can be placed
  void set_open(LotId lot, bool open);
  void set_passed(LotId lot, bool passed);
  void set_shut(ShelfId shelf, bool shut);

  /// Its user and queue have `n` tasks of it more (or less).
  void charge(LotId lot, std::int64_t n);
  /// A lease counts in every quota and share as a task of its owner would, in its queue, else in
  /// the one that `scheduler.lease_queue` names.
  void hold(LeaseId lease, const std::string& queue, const std::string& owner,
            const Resources& resources);
  void let_go(LeaseId lease);
  /// What forbids so much more to a lease, a quota or a pause, in words; empty: nothing.
  [[nodiscard]] std::string over_quota(const std::string& queue, const std::string& owner,
                                       const Resources& resources);
  /// The largest share of any resource that the shelf's usage has of all there is, by weight.
  [[nodiscard]] double share(ShelfId shelf) const;
  /// Quotas leave room for one more task. Else the shelf whose quota does not.
  [[nodiscard]] ShelfId short_quota(LotId lot) const;
  /// How many more tasks of it all quotas leave room for, at most `most`.
  [[nodiscard]] std::int64_t times_within_quotas(LotId lot, std::int64_t most) const;
  /// Some quota or pause may keep a lot from a node that has room.
  [[nodiscard]] bool any_limits() const;
  /// Lots that are not open and need at most `-want[c]` of each column, whatever quotas and pauses
  /// say.
  template<class F> void each_closed(const Amounts& want, F&& f) const {
    each_closed_in(root_, want, f);
  }

  /// The first lot in order that needs at most `-want[c]` of each column, carries a bit of `mask`,
  /// is within its quotas, and is accepted.
  template<class Accept>
  LotId first(const Amounts& want, std::uint64_t mask, Accept&& accept) const {
    return first_in(root_, want, mask, accept);
  }
  template<class Accept>
  LotId first_in(ShelfId id, const Amounts& want, std::uint64_t mask, Accept& accept) const {
    const Shelf& shelf = shelves_[id];
    if (shelf.tree.size() == 0)
      return nobody;
    if (shelf.quota.empty())
      return search(shelf, want, mask, accept);
    Amounts within = want;
    for (std::size_t c = 0; c < within.size(); ++c)
      within[c] = std::max(within[c], -shelf.left[c]);
    return search(shelf, within, mask, accept);
  }
  /// What comes first in the order of its queue, lowest first; among equals the older job does.
  [[nodiscard]] std::uint64_t rank_of(LotId lot) const { return key_of(lots_[lot]).major; }
  /// Who is likely to be served so many turns after it; nobody: not known at once.
  [[nodiscard]] LotId soon_after(LotId lot, std::uint32_t turns) const {
    return shelves_[lots_[lot].shelf].tree.behind(lot, turns);
  }
  /// It will be asked for soon; then what it refers to.
  void prefetch(LotId lot) const {
    const char* at = reinterpret_cast<const char*>(&lots_[lot]);
    for (std::size_t i = 0; i < sizeof(Lot); i += 64)
      fetch(at + i);
  }
  void prefetch_inside(LotId id) const {
    const Lot& lot = lots_[id];
    if (!lot.measure)
      return;
    const char* at = reinterpret_cast<const char*>(lot.measure);
    for (std::size_t i = 0; i < sizeof(Measure); i += 64)
      fetch(at + i);
  }
  /// Is a served before b?
  [[nodiscard]] bool before(LotId a, LotId b) const;
  /// Is it the very first of all that wait? Cheaper than `first`; what may not be served counts.
  [[nodiscard]] bool leads(LotId lot) const;
  /// Everything may be needed: finds any lot.
  [[nodiscard]] Amounts anything() const;
  /// Grows with every change of what waits, and of what it may use.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  /// Some lot has a bit of the mask.
  [[nodiscard]] bool any(std::uint64_t mask) const {
    const Ranked& tree = shelves_[root_].tree;
    return tree.size() > 0 && (tree.mask() & mask) != 0;
  }
  [[nodiscard]] ShelfId root() const { return root_; }

private:
  template<class Accept>
  LotId search(const Shelf& shelf, const Amounts& want, std::uint64_t mask, Accept& accept) const {
    LotId found = nobody;
    shelf.tree.first(want, mask, [&](Ranked::Id id) {
      if (shelf.holds_lots) {
        if (!accept(static_cast<LotId>(id)))
          return false;
        found = id;
        return true;
      }
      if (shelf.shares) {
        found = first_in(id, want, mask, accept);
        return found != nobody;
      }
      // One line in several parts: a part whose first comes later than what was found has nothing.
      if (found != nobody && key_of(lots_[found]) < shelves_[id].tree.first_key())
        return true;
      const LotId other = first_in(id, want, mask, accept);
      if (other != nobody && (found == nobody || key_of(lots_[other]) < key_of(lots_[found])))
        found = other;
      return false;
    });
    return found;
  }

  template<class F> void each_closed_in(ShelfId id, const Amounts& want, F& f) const {
    const Shelf& shelf = shelves_[id];
    shelf.tree.first(want, closed_bit, [&](Ranked::Id inner) {
      if (shelf.holds_lots)
        f(static_cast<LotId>(inner));
      else
        each_closed_in(inner, want, f);
      return false;
    });
  }

  std::uint32_t queue_named(const std::string& name);
  [[nodiscard]] std::uint32_t queue_around(const std::string& name) const;
  ShelfId new_shelf(ShelfId above, std::uint32_t queue, double weight, const Quota& quota);
  void build_shelves();
  void build_shelf(std::uint32_t queue);
  ShelfId shelf_for(std::uint32_t queue, const std::string& user);
  void drop_child(ShelfId id);
  struct Held {
    std::string queue, owner;
    Resources resources;
    ShelfId shelf = nobody;
  };
  [[nodiscard]] Amounts amounts_of(const Resources& resources) const;
  [[nodiscard]] const std::string& lease_queue(const std::string& given) const {
    return given.empty() ? settings_.global().lease_queue : given;
  }
  void charge(Held& held);
  void reckon(Measure& measure) const;
  void reckon_left(Shelf& shelf) const;
  [[nodiscard]] Key key_of(const Lot& lot) const;
  [[nodiscard]] static std::uint64_t mask_of(const Lot& lot);
  /// The shelf's content has changed: makes its entry above true, and so on upwards.
  void settle(ShelfId id);
  [[nodiscard]] static bool holds_smallest(const Shelf& shelf);

  struct Like {
    const core::Kind* kind;
    std::uint32_t size;
    bool operator==(const Like&) const = default;
  };
  struct LikeHash {
    std::size_t operator()(const Like& like) const {
      return std::hash<const void*>()(like.kind) * 31 + like.size;
    }
  };

  Nodes& nodes_;
  AllQueueSettings settings_;
  Store<Lot> lots_;
  std::unordered_map<Like, LotId, LikeHash> by_like_;
  std::unordered_map<const core::Kind*, Measure> measures_;
  Fixed<Queue> queues_;
  std::unordered_map<std::string, std::uint32_t> queue_names_;
  Fixed<Shelf> shelves_;
  std::vector<ShelfId> free_shelves_;
  std::map<LeaseId, Held> held_;
  At turn_ = nowhere - 1; // of a new queue
  ShelfId root_ = nobody;
  std::uint64_t version_ = 0;
  Ranked::Where lot_where_, shelf_where_;
};

} // namespace reeve::sched
