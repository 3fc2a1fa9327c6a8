// See etcd.hpp.
#include "tests/sim/etcd.hpp"

#include "src/ledger/recover.hpp"

namespace reeve::sim {
namespace {

using namespace journal::etcd;

const Keys keys(etcd_options("").cluster);

bool puts(const std::vector<Op>& ops) {
  return std::any_of(ops.begin(), ops.end(),
                     [](const Op& op) { return std::holds_alternative<Put>(op); });
}
bool reads_only(const std::vector<Op>& ops) {
  return std::all_of(ops.begin(), ops.end(),
                     [](const Op& op) { return std::holds_alternative<Get>(op); });
}

/// etcd itself, asked in no time by somebody outside the simulation.
class AtOnce final : public Kv {
public:
  explicit AtOnce(journal_tests::FakeEtcd& etcd) : etcd_(etcd) {}
  Result<Answer> txn(const Txn& txn, Duration patience) override {
    return etcd_.txn(txn, patience);
  }
  Result<void> compact(std::int64_t) override { return {}; }
  Result<Space> space() override { return Space{}; }

private:
  journal_tests::FakeEtcd& etcd_;
};

} // namespace

journal::EtcdOptions etcd_options(const std::string& endpoint) {
  journal::EtcdOptions options;
  options.members = {"e1", "e2", "e3"};
  options.cluster = "sim";
  options.endpoint = endpoint;
  options.heart = false;
  return options;
}

// ---- members

bool Etcd::majority() const {
  return std::count_if(members_.begin(), members_.end(), [](const auto& m) { return m.up; }) * 2 >
         static_cast<std::ptrdiff_t>(members);
}

void Etcd::catch_up(std::size_t number, std::size_t upto) {
  Member& member = members_[number];
  for (; member.up && member.applied < upto; ++member.applied)
    (void)member.state.txn(log_[member.applied], {});
}

void Etcd::set_up(std::size_t number, bool up) {
  members_[number].up = up;
  if (!up || !majority())
    return;
  catch_up(number, log_.size());
  for (Work& work : std::exchange(waiting_, {}))
    timeline_.at(timeline_.now() + random_.between(noise.delay_least, noise.delay_most),
                 std::move(work));
}

Result<Answer> Etcd::commit(const Txn& txn) {
  if (full && puts(txn.then))
    return fail(Code::busy, {}, "etcd: the quota is used up");
  auto answer = head_.txn(txn, {});
  if (!answer || reads_only(answer->succeeded ? txn.then : txn.otherwise))
    return answer;
  log_.push_back(txn);
  for (std::size_t k = 0; k < members; ++k)
    timeline_.at(timeline_.now() + random_.between(Duration(100), noise.lag_most),
                 [this, k, upto = log_.size()] { catch_up(k, upto); });
  return answer;
}

// ---- requests

void Etcd::send(std::size_t master, std::size_t member, const Txn& txn, const Reply& reply) {
  if (random_.per_mille(noise.lost) || cuts_[master].there)
    return;
  Duration takes = random_.between(noise.delay_least, noise.delay_most);
  if (random_.per_mille(noise.late)) // long after its sender has asked the next member
    takes += random_.between(500ms, 8s);
  timeline_.at(timeline_.now() + takes,
               [this, master, member, txn, reply] { arrive(master, member, txn, reply); });
}

void Etcd::arrive(std::size_t master, std::size_t member, const Txn& txn, const Reply& reply) {
  if (!members_[member].up) {
    if (random_.percent(50)) // its machine says that nobody listens
      answer(master, reply, fail(Code::timed_out, {}, "etcd: refused"));
    return;
  }
  if (txn.local)
    return answer(master, reply, members_[member].state.txn(txn, {}));
  if (!majority()) {
    if (random_.percent(50)) // may be carried out when there is one again
      waiting_.push_back([this, master, txn, reply] { answer(master, reply, commit(txn)); });
    return;
  }
  answer(master, reply, commit(txn));
}

void Etcd::answer(std::size_t master, const Reply& reply, Result<Answer> answer) {
  if (random_.per_mille(noise.answer_lost) || cuts_[master].back)
    return;
  timeline_.at(timeline_.now() + random_.between(noise.delay_least, noise.delay_most),
               [reply, answer = std::move(answer)] { reply(answer); });
}

// ---- what is durable

Seq Etcd::begins_after() const {
  const auto cut = head_.txn({.then = {Get{keys.cut()}}}, {});
  return cut->found[0].empty() ? Seq(0) : seq_of(cut->found[0][0].value);
}

Seq Etcd::synced() const {
  const auto newest = head_.txn(
    {.then = {Get{.key = keys.row(Seq(0)), .end = keys.rows_end(), .limit = 1, .newest = true}}},
    {});
  if (newest->found[0].empty())
    return begins_after();
  const auto row = decode_row(seq_of(newest->found[0][0].key), newest->found[0][0].value);
  return row ? row->batch.last() : Seq(0);
}

std::string Etcd::entry(Seq seq) const {
  const auto found = head_.txn(
    {.then = {Get{
       .key = keys.row(Seq(0)), .end = keys.row(seq.next()), .limit = 1, .newest = true}}},
    {});
  if (found->found[0].empty())
    return {};
  const Value& value = found->found[0][0];
  const auto row = decode_row(seq_of(value.key), value.value);
  if (!row || row->batch.last() < seq)
    return {};
  const auto entries = journal::unpack(row->batch);
  return entries ? std::string((*entries)[seq.value - row->batch.seq]) : std::string();
}

Result<core::Cluster> Etcd::recovered() const {
  auto journal =
    journal::EtcdJournal::open(std::make_shared<AtOnce>(head_), etcd_options("nobody"));
  if (!journal)
    return tl::unexpected<Error>(std::move(journal).error());
  auto recovered = ledger::recover(**journal);
  if (!recovered)
    return tl::unexpected<Error>(std::move(recovered).error());
  return std::move(recovered->cluster);
}

// ---- a master's way to it

Result<Answer> EtcdClient::txn(const Txn& txn, Duration patience) {
  struct Call {
    std::weak_ptr<Fiber> fiber;
    std::optional<Result<Answer>> result;
  };
  const auto call = std::make_shared<Call>();
  call->fiber = Fiber::current()->weak_from_this();
  const std::size_t member = member_;
  const auto finish = [call](const Result<Answer>& result) {
    if (call->result)
      return;
    call->result = result;
    if (const auto fiber = call->fiber.lock())
      fiber->resume();
  };
  // Nothing that arrives at a process which is stopped or dead is heard there before it goes on.
  etcd_.send(master_, member, txn, [this, call, finish](const Result<Answer>& result) {
    if (!call->fiber.expired())
      process_.at(timeline_.now(), [finish, result] { finish(result); });
  });
  process_.after(patience, [finish] { finish(fail(Code::timed_out, {}, "etcd: no answer")); });
  while (!call->result)
    Fiber::wait();
  if (!*call->result && call->result->error().code == Code::timed_out && member_ == member)
    member_ = (member + 1) % Etcd::members;
  return *call->result;
}

bool EtcdClient::waits(Duration pause) {
  process_.after(pause, [fiber = Fiber::current()->weak_from_this()] {
    if (const auto alive = fiber.lock())
      alive->resume();
  });
  Fiber::wait();
  return true;
}

} // namespace reeve::sim
