// See standby.hpp.
#include "src/standby/standby.hpp"

#include "src/net/dealer.hpp"

#include <arpa/inet.h>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <netdb.h>
#include <poll.h>
#include <random>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace reeve::standby {
namespace {

using std::chrono::milliseconds;

constexpr Duration look_patience = milliseconds(500);
constexpr Duration finish_patience = std::chrono::seconds(1);
constexpr Duration ask_every = milliseconds(150); // the leader, directly
constexpr Duration stagger = milliseconds(150);   // between standbys that suspect a silent leader
constexpr Duration slice = milliseconds(50);
constexpr int connect_patience_ms = 100;

TimePoint steady_now() {
  return TimePoint(
    std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}
TimePoint calendar_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

/// Nobody listens at tcp://host:port, and its kernel says so.
bool is_refused(const std::string& endpoint) {
  constexpr std::size_t scheme = 6; // tcp://
  const auto colon = endpoint.rfind(':');
  if (endpoint.rfind("tcp://", 0) != 0 || colon <= scheme)
    return false;
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string host = endpoint.substr(scheme, colon - scheme);
  if (::getaddrinfo(host.c_str(), endpoint.substr(colon + 1).c_str(), &hints, &found) != 0)
    return false;
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = ::connect(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  ::freeaddrinfo(found);
  if (error == EINPROGRESS) {
    pollfd item{fd, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (::poll(&item, 1, connect_patience_ms) == 1)
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  ::close(fd);
  return error == ECONNREFUSED;
}

} // namespace

struct Standby::Io {
  // what the other threads bring
  std::mutex mutex;
  std::vector<net::Message> messages;
  std::vector<net::Peer> gone;
  std::optional<Result<journal::Look>> look;
  int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // the thread that asks etcd
  std::condition_variable wake;
  Seq look_from; // 0: nothing is asked
  bool look_latest = false;
  bool stop = false;
  std::thread looker;
  // the direct connection
  zmq::context_t context;
  std::optional<net::Dealer> dealer;
  std::string dealer_endpoint;
  TimePoint asked, tried, look_due;
  bool looking = false, down = false;
  bool sure = false; // all members were asked, and the leader is dead all the same
  std::mt19937 dice{std::random_device{}()};

  ~Io() { ::close(event); }
  void ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event, &one, sizeof one);
  }
  void look_at(journal::EtcdJournal& journal);
  void ask_etcd(Seq from, bool latest) {
    {
      const std::scoped_lock lock(mutex);
      look_from = from;
      look_latest = latest;
    }
    looking = true;
    wake.notify_one();
  }
  void connect(const std::string& endpoint);
  void ask_leader(TimePoint now);
  void hear_leader(Suspicion& suspicion, TimePoint now);
  void wait(Duration patience);
};

/// The thread's whole life: one look when asked.
void Standby::Io::look_at(journal::EtcdJournal& journal) {
  for (;;) {
    Seq from;
    bool latest = false;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return stop || look_from; });
      if (stop)
        return;
      from = std::exchange(look_from, Seq(0));
      latest = look_latest;
    }
    auto seen = journal.look(from, look_patience, latest);
    {
      const std::scoped_lock lock(mutex);
      look = std::move(seen);
    }
    ring();
  }
}

void Standby::Io::connect(const std::string& endpoint) {
  if (endpoint == dealer_endpoint)
    return;
  dealer.reset();
  down = false;
  dealer_endpoint = endpoint;
  if (endpoint.empty())
    return;
  if (auto made = net::Dealer::connect(context, endpoint))
    dealer = std::move(*made);
}

void Standby::Io::ask_leader(TimePoint now) {
  if (!dealer || now - asked < ask_every)
    return;
  asked = now;
  Hello hello;
  hello.name = "standby";
  hello.standby = true;
  (void)dealer->send({encode(Header{protocol_version, Hello::type, 1, {}}), encode(hello)});
}

void Standby::Io::hear_leader(Suspicion& suspicion, TimePoint now) {
  if (!dealer)
    return;
  while (const auto change = dealer->event()) {
    down = *change == net::Dealer::Event::disconnected;
    asked = tried = {}; // ask at once
  }
  if (down && now - tried >= slice) {
    tried = now;
    if (is_refused(dealer_endpoint))
      suspicion.refused();
  }
  for (;;) {
    auto frames = dealer->receive();
    if (!frames)
      continue;
    if (!*frames)
      return;
    const auto header = decode<Header>((*frames)->header());
    if (!header || header->type != MessageType::welcome)
      continue;
    const auto welcome = decode<Welcome>((*frames)->body());
    if (welcome && welcome->role == "leader") // a master that is a standby itself leads nobody
      suspicion.answered(now);
  }
}

void Standby::Io::wait(Duration patience) {
  std::vector<zmq::pollitem_t> items{{nullptr, event, ZMQ_POLLIN, 0}};
  if (dealer) {
    items.push_back({dealer->socket(), 0, ZMQ_POLLIN, 0});
    items.push_back({dealer->monitor(), 0, ZMQ_POLLIN, 0});
  }
  const auto ms = std::max<std::int64_t>(std::chrono::ceil<milliseconds>(patience).count(), 0);
  zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(ms));
  std::uint64_t ignored = 0;
  [[maybe_unused]] const auto got = ::read(event, &ignored, sizeof ignored);
}

Standby::Standby(journal::EtcdJournal& journal, ledger::Recovered recovered, StandbyOptions options)
    : journal_(journal), recovered_(std::move(recovered)), options_(std::move(options)),
      desk_(options_.identity), looked_(steady_now()), io_(std::make_unique<Io>()) {
  again();
  io_->looker = std::thread([this] { io_->look_at(journal_); });
}

Standby::~Standby() {
  {
    const std::scoped_lock lock(io_->mutex);
    io_->stop = true;
  }
  io_->wake.notify_one();
  io_->looker.join();
}

void Standby::again() {
  io_->sure = false;
  leader_ = {};
  leader_.revision = -1; // whoever reigns is new to us
}

void Standby::received(std::vector<net::Message> messages) {
  {
    const std::scoped_lock lock(io_->mutex);
    std::move(messages.begin(), messages.end(), std::back_inserter(io_->messages));
  }
  io_->ring();
}

void Standby::gone(net::Peer peer) {
  const std::scoped_lock lock(io_->mutex);
  io_->gone.push_back(peer);
}

Result<bool> Standby::run() {
  Io& io = *io_;
  for (;;) {
    const TimePoint now = steady_now();
    suspicion_.tick(now);
    io.hear_leader(suspicion_, now);
    io.ask_leader(now);
    std::vector<net::Message> messages;
    std::optional<Result<journal::Look>> look;
    {
      const std::scoped_lock lock(io.mutex);
      messages.swap(io.messages);
      look.swap(io.look);
      for (const net::Peer peer : std::exchange(io.gone, {}))
        desk_.gone(peer);
    }
    if (look) {
      io.looking = false;
      const bool more = *look && (*look)->more;
      io.look_due = now + (more ? Duration(0) : options_.look_every);
      take(std::move(*look), now);
      if (broken_)
        return tl::unexpected<Error>(*broken_);
    }
    answer(std::move(messages));
    if (options_.stop())
      return false;
    // Never while a look is under way: it may just learn of a new leader, who is not to be deposed.
    // Nor while etcd has no majority: the takeover would wait for it, and the leader has the same
    // trouble. One member alone may not know that; so all of them are asked.
    const TimePoint then = steady_now();
    const bool dead = trouble_.empty() && leader_.revision >= 0 && suspicion_.dead(then);
    if (dead && !io.looking && io.sure) {
      options_.tell(false, (leader_.name.empty() ? std::string("no leader") : leader_.name) + ": " +
                             suspicion_.reason(then) + "; taking over");
      return true;
    }
    if (!io.looking && (dead || then >= io.look_due)) {
      io.sure = dead;
      io.ask_etcd(recovered_.cluster.last_seq().next(), dead || !trouble_.empty());
    }
    io.wait(std::min<Duration>(slice, io.looking ? slice : io.look_due - steady_now()));
  }
}

void Standby::take(Result<journal::Look> look, TimePoint now) {
  if (!look) {
    if (look.error().code == Code::not_found) { // truncated away: I was too far behind
      if (auto caught = catch_up(); !caught && caught.error().code != Code::io)
        broken_ = caught.error();
      return;
    }
    if (look.error().code == Code::corrupt)
      broken_ = look.error();
    if (trouble_.empty())
      options_.tell(true, "journal: " + look.error().message());
    trouble_ = look.error().message();
    return;
  }
  if (!trouble_.empty()) {
    options_.tell(false, "journal: etcd answers again");
    suspicion_.heartbeat(now); // the leader could not show one
  }
  trouble_.clear();
  looked_ = now;
  if (look->leader.revision != leader_.revision) {
    leader_ = look->leader;
    const bool mine = leader_.endpoint == options_.endpoint; // of a life before this one
    suspicion_.begin(
      leader_.revision == 0 || leader_.released || mine,
      Duration(static_cast<std::int64_t>(io_->dice() % static_cast<unsigned>(stagger.count() + 1))),
      now);
    io_->connect(leader_.revision == 0 || mine ? "" : leader_.endpoint);
    if (leader_.revision != 0)
      options_.tell(false, "follows " + leader_.name + " at " + leader_.endpoint + ", epoch " +
                             std::to_string(leader_.epoch.value) +
                             (leader_.released ? ", which has stepped down" : ""));
  }
  if (look->heartbeat > heartbeat_) {
    heartbeat_ = look->heartbeat;
    suspicion_.heartbeat(now);
  }
  if (auto followed = follow(*look); !followed)
    broken_ = followed.error();
}

Result<void> Standby::follow(const journal::Look& look) {
  for (const auto& batch : look.batches)
    if (auto replayed = replay(batch); !replayed)
      return replayed;
  const Seq mine = recovered_.cluster.last_seq();
  lag_ = look.last > mine ? look.last.value - mine.value : 0;
  if (look.snapshot > recovered_.snapshot && look.snapshot <= mine)
    return compare_with_snapshot(look.snapshot);
  return {};
}

Result<void> Standby::replay(const journal::Batch& batch) {
  auto committed = std::make_shared<core::Committed>();
  committed->first = batch.first;
  Seq seq = batch.first;
  for (const std::string& bytes : batch.entries) {
    auto entry = decode<Entry>(bytes, stored_limits);
    if (!entry)
      return fail(Code::corrupt, "entry " + std::to_string(seq.value), entry.error().message());
    if (auto replayed = recovered_.cluster.replay(seq, *entry, committed->changes); !replayed)
      return replayed;
    committed->entries.push_back(std::move(*entry));
    seq = seq.next();
  }
  if (options_.committed)
    options_.committed(std::move(committed));
  return {};
}

Result<void> Standby::catch_up() {
  options_.tell(true, "was too far behind: reads the newest snapshot");
  auto recovered = ledger::recover(journal_);
  if (!recovered)
    return tl::unexpected<Error>(std::move(recovered).error());
  recovered_ = std::move(*recovered);
  return {};
}

/// The leader's snapshot and the entries after it must lead to the state that is held here. Reads
/// both to the same entry; nothing is followed meanwhile.
Result<void> Standby::compare_with_snapshot(Seq snapshot) {
  auto theirs = ledger::recover(journal_);
  if (!theirs || theirs->snapshot < snapshot) {
    if (!theirs && theirs.error().code == Code::corrupt)
      return tl::unexpected<Error>(std::move(theirs).error());
    return {}; // etcd trouble: with the next look
  }
  if (auto followed = follow_to(theirs->cluster.last_seq()); !followed)
    return followed.error().code == Code::corrupt ? followed : Result<void>();
  const bool same = theirs->cluster.state_hash() == recovered_.cluster.state_hash();
  options_.tell(!same, "snapshot " + std::to_string(theirs->snapshot.value) + ": the state here " +
                         (same ? "is the same" : "DIFFERS; the snapshot's is used from now on"));
  recovered_.snapshot = theirs->snapshot;
  if (!same)
    recovered_.cluster = std::move(theirs->cluster);
  return {};
}

/// No entry beyond `end` (which ends a row) is followed.
Result<void> Standby::follow_to(Seq end) {
  while (recovered_.cluster.last_seq() < end) {
    auto look = journal_.look(recovered_.cluster.last_seq().next(), finish_patience, true);
    if (!look)
      return tl::unexpected<Error>(std::move(look).error());
    for (const auto& batch : look->batches)
      if (batch.last() <= end)
        if (auto replayed = replay(batch); !replayed)
          return replayed;
    if (!look->more)
      return {};
  }
  return {};
}

Result<void> Standby::finish() {
  for (int tries = 1;; ++tries) {
    auto followed = follow_to(Seq(std::numeric_limits<std::uint64_t>::max()));
    if (followed || followed.error().code != Code::io || tries == 5)
      return followed;
  }
}

void Standby::answer(std::vector<net::Message> messages) {
  if (messages.empty())
    return;
  const bool reigns = leader_.revision > 0 && !leader_.released;
  const DeskView view{recovered_.cluster,
                      reigns ? leader_.name : "",
                      reigns ? leader_.endpoint : "",
                      trouble_.empty() ? "etcd: healthy" : "etcd: " + trouble_,
                      lag_,
                      recovered_.snapshot,
                      steady_now() - looked_};
  std::vector<net::Message> out;
  for (const auto& message : messages)
    desk_.answer(message, view, calendar_now(), out);
  if (!out.empty())
    options_.send(std::move(out));
}

std::vector<net::Peer> Standby::agents() const {
  return {desk_.agents().begin(), desk_.agents().end()};
}

std::vector<net::Message> Standby::unanswered() {
  const std::scoped_lock lock(io_->mutex);
  return std::exchange(io_->messages, {});
}

} // namespace reeve::standby
