// See recorder.hpp.
#include "src/history/recorder.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace reeve::history {
namespace {

constexpr std::size_t flush_weight = 100'000; // earlier than flush_every
constexpr unsigned refill_failures_max = 10;
constexpr int niceness = 10; // placing and running work comes first

std::size_t weight_of(const core::Committed& batch) {
  std::size_t weight = batch.entries.size() + batch.outputs.size();
  for (const Entry& entry : batch.entries) {
    if (const auto* submitted = std::get_if<JobsSubmitted>(&entry.fact))
      weight += submitted->specs.size();
    else if (const auto* finished = std::get_if<TasksFinished>(&entry.fact))
      for (const JobResults& job : finished->jobs)
        weight += job.tasks.size() + job.quiet.size();
  }
  return weight;
}

} // namespace

Recorder::Recorder(RecorderOptions options) : options_(std::move(options)) {
  thread_ = std::thread([this] { loop(); });
}

Recorder::~Recorder() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Recorder::record(core::CommittedPtr batch) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t weight = weight_of(*batch);
    if (weight_ + weight > options_.weight_max) { // read again from the journal later
      batches_.clear();
      weight_ = 0;
    }
    const bool waits = weight_ < flush_weight;
    batches_.push_back(std::move(batch));
    weight_ += weight;
    wake = batches_.size() == 1 || (waits && weight_ >= flush_weight);
  }
  if (wake)
    wake_.notify_one();
}

void Recorder::ask(Work work) {
  {
    const std::lock_guard lock(mutex_);
    works_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void Recorder::sweep(TimePoint cutoff) {
  {
    const std::lock_guard lock(mutex_);
    cutoff_ = cutoff;
  }
  wake_.notify_one();
}

/// Tells a trouble once, and its end.
void Recorder::say(const Result<void>& outcome, const std::string& doing) {
  const std::string text =
    outcome ? std::string() : "history: " + doing + ": " + outcome.error().message();
  if (text == trouble_)
    return;
  if (!text.empty())
    options_.tell(true, text);
  else
    options_.tell(false, "history: works again");
  trouble_ = text;
}

Result<void> Recorder::open() {
  auto opened = History::open(options_.path);
  if (!opened)
    return tl::unexpected<Error>(std::move(opened).error());
  history_ = std::move(*opened);
  return {};
}

/// Entries that did not come by themselves: from the time before this process, or dropped here.
Result<void> Recorder::fill_up_to(Seq upto) {
  if (history_->last() >= upto)
    return {};
  auto filled = options_.refill(*history_, upto);
  if (filled && history_->last() < upto)
    filled = fail(Code::internal, {},
                  "the journal gave no more than entry " + std::to_string(history_->last().value));
  if (filled) {
    refill_failures_ = 0;
    return filled;
  }
  if (++refill_failures_ < refill_failures_max)
    return filled;
  refill_failures_ = 0;
  options_.tell(true, "history: entries " + std::to_string(history_->last().value + 1) + " to " +
                        std::to_string(upto.value) +
                        " are missing for good: " + filled.error().message());
  return history_->note_gap(upto, filled.error().message());
}

/// False: something remains in `batches`, to be tried again.
bool Recorder::record_all(std::vector<core::CommittedPtr>& batches) {
  if (!history_)
    if (auto opened = open(); !opened) {
      say(opened, "cannot open");
      return false;
    }
  Result<void> good;
  std::size_t begin = 0;
  while (good && begin < batches.size()) {
    if (batches[begin]->last() <= history_->last()) { // it has that already
      ++begin;
      continue;
    }
    good = fill_up_to(Seq(batches[begin]->first.value - 1));
    if (!good)
      break;
    std::size_t end = begin + 1;
    while (end < batches.size() && batches[end]->first == batches[end - 1]->last().next())
      ++end;
    good = history_->record(std::span(batches).subspan(begin, end - begin));
    if (good)
      begin = end;
  }
  batches.erase(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(begin));
  say(good, "cannot record");
  return good.has_value();
}

void Recorder::loop() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness);
  say(open(), "cannot open");
  std::vector<core::CommittedPtr> batches;
  for (bool ending = false; !ending;) {
    std::vector<Work> works;
    std::optional<TimePoint> cutoff;
    {
      std::unique_lock lock(mutex_);
      const auto urgent = [&] { return stop_ || !works_.empty() || cutoff_; };
      if (batches.empty())
        wake_.wait(lock, [&] { return urgent() || !batches_.empty(); });
      // What comes within this time shares a transaction; after trouble it is the pause.
      wake_.wait_for(lock, batches.empty() ? options_.flush_every : options_.retry_every,
                     [&] { return urgent() || (batches.empty() && weight_ >= flush_weight); });
      ending = stop_;
      if (batches.empty()) {
        batches.swap(batches_);
        weight_ = 0;
      }
      works.swap(works_);
      cutoff.swap(cutoff_);
    }
    record_all(batches);
    for (auto& work : works) {
      if (history_)
        work(history_.get());
      else
        work(fail(Code::unavailable, {}, trouble_.empty() ? "history: not open" : trouble_));
    }
    if (!cutoff || !history_)
      continue;
    const auto more = history_->sweep(*cutoff);
    if (!more)
      say(tl::unexpected<Error>(more.error()), "cannot delete old rows");
    else if (*more)
      sweep(*cutoff);
  }
}

} // namespace reeve::history
