// See feed.hpp.
#include "agents/dashboard/feed.hpp"

#include <set>
#include <spdlog/spdlog.h>

namespace reeve::dashboard {
namespace {

constexpr std::size_t kept_events = 5'000;
constexpr std::size_t shown_events = 100; // in one piece of news
constexpr std::size_t told_jobs = 500;
constexpr auto figures_pause = std::chrono::milliseconds(500); // between two samples
constexpr auto figures_age =
  std::chrono::seconds(5); // uptime and measured use change without events
constexpr Duration usual_patience = std::chrono::seconds(2);
constexpr Duration lost_patience = std::chrono::milliseconds(500); // the event stream has gone
constexpr auto slice = std::chrono::milliseconds(500);
constexpr auto unread_for = std::chrono::seconds(10); // then the event stream is closed
constexpr auto catch_up_patience = std::chrono::seconds(2);

} // namespace

Json figures_json(const Result<Stats>& stats, const Result<MasterStatus>& master) {
  Json out;
  if (!stats || !master) {
    out["error"] = (stats ? master.error() : stats.error()).message();
    return out;
  }
  out["stats"] = to_json(*stats);
  out["stats"].erase("histograms");
  out["master"] = to_json(*master);
  out["master"].erase("state_hash");
  return out;
}

Feed::Feed(Masters& masters)
    : masters_(masters), reader_([this] { read_events(); }), sampler_([this] { take_figures(); }) {}

Feed::~Feed() {
  stop();
  reader_.join();
  sampler_.join();
}

void Feed::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  news_.notify_all();
  work_.notify_all();
}

bool Feed::stopped() {
  const std::scoped_lock lock(mutex_);
  return stop_;
}

Feed::Watching::Watching(Feed& feed) : feed_(feed) {
  {
    const std::scoped_lock lock(feed_.mutex_);
    ++feed_.watchers_;
  }
  feed_.work_.notify_all();
}

Feed::Watching::~Watching() {
  const std::scoped_lock lock(feed_.mutex_);
  --feed_.watchers_;
  feed_.asked_ = std::chrono::steady_clock::now();
}

void Feed::catch_up(std::unique_lock<std::mutex>& lock) {
  asked_ = std::chrono::steady_clock::now();
  work_.notify_all();
  news_.wait_for(lock, catch_up_patience, [this] { return stop_ || current_ || unreachable_; });
}

bool Feed::needed() const {
  return watchers_ > 0 || std::chrono::steady_clock::now() - asked_ < unread_for;
}

void Feed::read_events() {
  EventOptions options;
  options.connect_timeout = std::chrono::seconds(2);
  options.interrupted = [this] { return stopped(); };
  options.on_link = [this](bool connected) {
    {
      const std::scoped_lock lock(mutex_);
      linked_ = connected;
      figures_due_ = true;
    }
    work_.notify_all();
  };
  std::optional<EventStream> stream;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (stream && !needed()) {
        stream.reset();
        current_ = false;
        linked_ = true;
      }
      work_.wait(lock, [this] { return stop_ || needed(); });
      if (stop_)
        return;
      options.from = ring_.empty() ? Seq(0) : ring_.back().seq; // it may have had more parts
    }
    if (!stream) {
      auto opened = EventStream::open(masters_.endpoints(), options);
      std::unique_lock lock(mutex_);
      unreachable_ = !opened;
      if (opened) {
        stream.emplace(std::move(*opened));
        continue;
      }
      spdlog::debug("events: {}", opened.error().message());
      news_.notify_all();
      work_.wait_for(lock, std::chrono::seconds(1), [this] { return stop_; });
      continue;
    }
    auto event = stream->next(Duration(0));
    if (event && !*event) {
      {
        const std::scoped_lock lock(mutex_);
        current_ = true;
      }
      news_.notify_all(); // who waits in catch_up
      event = stream->next(slice);
    }
    if (!event) {
      if (!stopped())
        spdlog::warn("events: {}", event.error().message());
      stream.reset();
      continue;
    }
    if (*event)
      add(std::move(**event));
  }
}

void Feed::add(Event event) {
  bool watched = false;
  {
    const std::scoped_lock lock(mutex_);
    if (!ring_.empty() && event.kind != "stream.gap" && ring_.back().kind != "stream.gap" &&
        event.seq == ring_.back().seq && event.part <= ring_.back().part)
      return; // asked for again, when the stream was opened anew
    ring_.push_back(std::move(event));
    if (ring_.size() > kept_events) {
      ring_.pop_front();
      ++first_;
    }
    watched = watchers_ > 0;
  }
  if (watched) { // else nobody waits, and to wake nobody is not free
    news_.notify_all();
    work_.notify_one();
  }
}

void Feed::take_figures() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto newest = [this] { return first_ + ring_.size(); };
    const auto due = [&] {
      return stop_ || (watchers_ > 0 && (figures_due_ || newest() != figures_at_event_));
    };
    if (watchers_ == 0)
      work_.wait(lock, [&] { return stop_ || watchers_ > 0; });
    else
      work_.wait_for(lock, figures_age, due);
    if (stop_)
      return;
    const std::uint64_t at = newest();
    const Duration patience = linked_ ? usual_patience : lost_patience;
    figures_due_ = false;
    lock.unlock();
    const auto stats = masters_.ask(GetStats{}, patience);
    const auto master = stats ? masters_.ask(GetMaster{}, patience)
                              : Result<MasterStatus>(tl::unexpected<Error>(stats.error()));
    Json figures = figures_json(stats, master);
    lock.lock();
    figures_ = std::move(figures);
    figures_at_event_ = at;
    ++figures_version_;
    news_.notify_all();
    work_.wait_for(lock, figures_pause, [this] { return stop_ || figures_due_; });
  }
}

std::optional<Feed::News> Feed::next(Place& place, Duration patience) {
  std::unique_lock lock(mutex_);
  const auto newest = [this] { return first_ + ring_.size(); };
  if (place.event == 0) {
    catch_up(lock);
    place.event = newest();
  }
  news_.wait_for(lock, patience, [&] {
    return stop_ || newest() > place.event || figures_version_ > place.figures;
  });
  if (stop_ || (newest() <= place.event && figures_version_ <= place.figures))
    return std::nullopt;
  News news;
  if (place.event < first_) {
    news.skipped = first_ - place.event;
    place.event = first_;
  }
  const std::size_t fresh = newest() - place.event;
  std::set<JobId> jobs;
  for (std::size_t k = ring_.size() - fresh; k < ring_.size(); ++k) {
    const Event& event = ring_[k];
    if (event.job && jobs.size() < told_jobs)
      jobs.insert(event.job);
    news.nodes = news.nodes || event.kind.starts_with("node.") || event.kind.starts_with("lease.");
  }
  news.jobs.assign(jobs.begin(), jobs.end());
  const std::size_t shown = std::min(fresh, shown_events);
  news.skipped += fresh - shown;
  news.events.assign(ring_.end() - static_cast<std::ptrdiff_t>(shown), ring_.end());
  place.event = newest();
  if (figures_version_ > place.figures) {
    news.figures = figures_;
    place.figures = figures_version_;
  }
  return news;
}

std::optional<Feed::Place> Feed::behind(Seq seq, std::uint32_t part) {
  std::unique_lock lock(mutex_);
  catch_up(lock);
  const auto at = std::upper_bound(
    ring_.begin(), ring_.end(), std::pair(seq, part),
    [](const auto& wanted, const Event& e) { return wanted < std::pair(e.seq, e.part); });
  if (at == ring_.begin())
    return std::nullopt;
  return Place{first_ + static_cast<std::uint64_t>(at - ring_.begin()), 0};
}

std::vector<Event> Feed::newest(std::size_t most) {
  std::unique_lock lock(mutex_);
  catch_up(lock);
  const std::size_t n = std::min(most, ring_.size());
  return {ring_.end() - static_cast<std::ptrdiff_t>(n), ring_.end()};
}

std::uint64_t Feed::events_seen() {
  const std::scoped_lock lock(mutex_);
  return first_ + ring_.size() - 1;
}

} // namespace reeve::dashboard
