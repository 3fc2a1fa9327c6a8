// An etcd in memory that behaves as the real one does where it hurts: an answer is lost though the
// transaction was carried out, or the transaction is carried out only later, after others. The test
// decides when, by a function or by dice.
#pragma once

#include "src/journal/etcd_kv.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>

namespace reeve::journal_tests {
using namespace journal::etcd;

enum class Fate {
  done,        // and answered
  answer_lost, // done, but the caller hears of a timeout
  never,       // not done, and a timeout
  later,       // a timeout, and done before one of the next calls
  full         // refused: the quota is used up
};

class FakeEtcd final : public Kv {
public:
  /// Of each transaction that writes; empty: done. It may call this etcd itself.
  void set_fate(std::function<Fate(const Txn&)> fate) {
    const std::scoped_lock lock(mutex_);
    fate_ = std::move(fate);
  }

  Result<Answer> txn(const Txn& txn, Duration) override {
    std::function<Fate(const Txn&)> fate;
    if (has_write(txn.then)) {
      const std::scoped_lock lock(mutex_);
      fate = fate_;
    }
    const Fate what = fate ? fate(txn) : Fate::done;
    const std::scoped_lock lock(mutex_);
    if (what == Fate::full)
      return fail(Code::busy, {}, "fake etcd: full");
    if (what == Fate::later || what == Fate::never) {
      if (what == Fate::later)
        late_.push_back(txn);
      return fail(Code::timed_out, {}, "fake etcd: no answer");
    }
    Answer answer = carry_out(txn);
    for (auto& one : std::exchange(late_, {})) // overtaken by what was sent after it
      (void)carry_out(one);
    if (what == Fate::answer_lost)
      return fail(Code::timed_out, {}, "fake etcd: the answer is lost");
    return answer;
  }
  Result<void> compact(std::int64_t) override { return {}; }
  Result<Space> space() override { return Space{}; }

  std::size_t count(const std::string& prefix) {
    const std::scoped_lock lock(mutex_);
    std::size_t n = 0;
    for (auto at = keys_.lower_bound(prefix); at != keys_.end() && at->first.rfind(prefix, 0) == 0;
         ++at)
      ++n;
    return n;
  }
  /// Flips a bit in the value of the key.
  void damage(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    keys_.at(key).value.back() ^= 1;
  }

private:
  struct Stored {
    std::string value;
    std::int64_t created = 0, modified = 0;
  };
  static bool has_write(const std::vector<Op>& ops) {
    for (const Op& op : ops)
      if (!std::holds_alternative<Get>(op))
        return true;
    return false;
  }
  Answer carry_out(const Txn& txn) {
    Answer answer;
    answer.succeeded = true;
    for (const Compare& compare : txn.when) {
      const auto at = keys_.find(compare.key);
      const std::int64_t is = at == keys_.end()                  ? 0
                              : compare.what == Compare::created ? at->second.created
                                                                 : at->second.modified;
      answer.succeeded = answer.succeeded && is == compare.revision;
    }
    const auto& ops = answer.succeeded ? txn.then : txn.otherwise;
    if (has_write(ops))
      ++revision_;
    answer.revision = revision_;
    for (const Op& op : ops)
      answer.found.push_back(carry_out(op, answer.more));
    return answer;
  }
  std::vector<Value> carry_out(const Op& op, bool& more) {
    std::vector<Value> found;
    if (const auto* put = std::get_if<Put>(&op)) {
      Stored& stored = keys_[put->key];
      stored.value = put->value;
      stored.created = stored.created == 0 ? revision_ : stored.created;
      stored.modified = revision_;
    } else if (const auto* gone = std::get_if<Delete>(&op)) {
      keys_.erase(keys_.lower_bound(gone->key), last_of(gone->key, gone->end));
    } else {
      const auto& get = std::get<Get>(op);
      const auto begin = keys_.lower_bound(get.key);
      const auto end = last_of(get.key, get.end);
      const auto take = [&](const auto& stored) { // false: that is more than is wanted
        if (get.limit > 0 && found.size() == static_cast<std::size_t>(get.limit))
          return !(more = true);
        found.push_back(
          {stored.first, get.keys_only ? "" : stored.second.value, stored.second.modified});
        return true;
      };
      if (get.newest)
        std::any_of(std::make_reverse_iterator(end), std::make_reverse_iterator(begin),
                    [&](const auto& stored) { return !take(stored); });
      else
        std::any_of(begin, end, [&](const auto& stored) { return !take(stored); });
    }
    return found;
  }
  std::map<std::string, Stored>::iterator last_of(const std::string& key, const std::string& end) {
    return end.empty() ? keys_.upper_bound(key) : keys_.lower_bound(end);
  }

  std::mutex mutex_;
  std::function<Fate(const Txn&)> fate_;
  std::map<std::string, Stored> keys_;
  std::vector<Txn> late_;
  std::int64_t revision_ = 1;
};

/// The same etcd for somebody who is slow: before he reads rows for the first time, `happens` does.
class Overtaken final : public Kv {
public:
  Overtaken(std::shared_ptr<FakeEtcd> etcd, std::function<void()> happens)
      : etcd_(std::move(etcd)), happens_(std::move(happens)) {}
  Result<Answer> txn(const Txn& txn, Duration patience) override {
    const bool reads_rows = std::any_of(txn.then.begin(), txn.then.end(), [](const Op& op) {
      const auto* get = std::get_if<Get>(&op);
      return get != nullptr && get->key.find("/j/") != std::string::npos;
    });
    if (reads_rows && happens_)
      std::exchange(happens_, {})();
    return etcd_->txn(txn, patience);
  }
  Result<void> compact(std::int64_t revision) override { return etcd_->compact(revision); }
  Result<Space> space() override { return etcd_->space(); }

private:
  std::shared_ptr<FakeEtcd> etcd_;
  std::function<void()> happens_;
};

} // namespace reeve::journal_tests
