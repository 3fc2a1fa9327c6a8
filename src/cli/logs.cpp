// Reading and following what tasks print. See logs.hpp.
#include "src/cli/logs.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

namespace reeve::cli {
namespace {

constexpr Duration look_again = std::chrono::milliseconds(200);
constexpr std::uint32_t tasks_page = 500;
constexpr int pieces_max =
  64; // of one stream in a row, so that one chatty task does not silence the others
constexpr int patience = 25; // looks at a finished task whose output does not come

/// The master is away or busy: following goes on when it is back, as waiting does.
bool will_pass(const Error& error) {
  return error.code == Code::timed_out || error.code == Code::busy ||
         error.code == Code::unavailable || no_master_reached(error);
}

/// Both streams of one task while it is followed.
struct Followed {
  Followed(Terminal& terminal, const TaskView& task, const std::string& prefix)
      : attempt(task.attempt), out(task.job, task.index, task.attempt, Stream::out),
        err(task.job, task.index, task.attempt, Stream::err), to_out(terminal.out, prefix),
        to_err(terminal.err, prefix) {}
  Attempt attempt;
  LogReader out, err;
  PrefixedWriter to_out, to_err;
  int troubles = 0;
  void finish() {
    to_out.finish();
    to_err.finish();
  }
};

Result<void> drain(Client& client, LogReader& reader, PrefixedWriter& writer) {
  for (int k = 0; k < pieces_max && !reader.ended(); ++k) {
    auto piece = reader.next(client);
    if (!piece)
      return tl::unexpected<Error>(piece.error());
    if (piece->empty())
      break;
    writer.write(*piece);
  }
  return {};
}

/// One job whose tasks are followed, in a window that moves on as they end.
class JobFollower {
public:
  /// `named`: lines begin with their task.
  JobFollower(Session& session, Client& client, FollowWanted wanted, bool named)
      : session_(&session), client_(&client), wanted_(std::move(wanted)), job_(wanted_.job),
        named_(named) {}
  /// One look at everything. True when all has ended and been printed.
  Result<bool> look();

private:
  bool look_at(const TaskView& task);
  Session* session_;
  Client* client_;
  FollowWanted wanted_;
  JobId job_;
  bool named_ = false;
  TaskIndex low_ = 0;       // all before are finished
  bool started_ = false;    // total is known
  std::uint32_t total_ = 0; // tasks behind the last that is wanted
  std::map<TaskIndex, std::unique_ptr<Followed>> open_;
  std::map<TaskIndex, bool> done_; // at or after low_
};

bool JobFollower::look_at(const TaskView& task) {
  if (task.attempt == 0)
    return is_final(task.state); // cancelled before it ran
  auto& followed = open_[task.index];
  if (!followed || followed->attempt != task.attempt) {
    if (followed) {
      followed->finish();
      session_->note("task " + std::to_string(job_.value) + "/" + std::to_string(task.index) +
                     " starts again, attempt " + std::to_string(task.attempt));
    }
    const std::string prefix =
      named_ ? std::to_string(job_.value) + "/" + std::to_string(task.index) + ": " : "";
    followed = std::make_unique<Followed>(session_->terminal, task, prefix);
  }
  Result<void> read;
  if (wanted_.out)
    read = drain(*client_, followed->out, followed->to_out);
  if (read && wanted_.err)
    read = drain(*client_, followed->err, followed->to_err);
  if (!is_final(task.state))
    return false;
  // A finished task's output may still be on its way to the archive; in the end it may be gone with
  // its node.
  const bool ended =
    (!wanted_.out || followed->out.ended()) && (!wanted_.err || followed->err.ended());
  if (!ended && ++followed->troubles < patience)
    return false;
  if (!ended && !read)
    session_->note("output of task " + std::to_string(job_.value) + "/" +
                   std::to_string(task.index) + " is not complete: " + read.error().message());
  followed->finish();
  open_.erase(task.index);
  return true;
}

Result<bool> JobFollower::look() {
  if (!started_) {
    ListJobs query;
    query.jobs = {job_};
    auto list = client_->ask(query);
    if (!list)
      return tl::unexpected<Error>(list.error());
    if (list->jobs.empty())
      return fail(Code::not_found, "JOB", "no job " + std::to_string(job_.value));
    total_ = list->jobs[0].progress.total;
    named_ = named_ || total_ > 1;
    if (!wanted_.tasks.empty()) {
      std::uint64_t first = total_, last = 0;
      for (const Span& span : wanted_.tasks) {
        first = std::min(first, span.first);
        last = std::max(last, span.last);
      }
      if (first >= total_)
        return fail(Code::not_found, "TASK", "no such task of job " + std::to_string(job_.value));
      low_ = static_cast<TaskIndex>(first);
      total_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(total_, last + 1));
    }
    started_ = true;
  }
  ListTasks query;
  query.job = job_;
  query.from = low_;
  query.limit = tasks_page;
  auto list = client_->ask(query);
  if (!list)
    return tl::unexpected<Error>(list.error());
  for (const TaskView& task : list->tasks)
    if (task.index < total_ && !done_[task.index] &&
        (!is_chosen(wanted_.tasks, task.index) || look_at(task)))
      done_[task.index] = true;
  while (!done_.empty() && done_.begin()->first == low_ && done_.begin()->second) {
    done_.erase(done_.begin());
    ++low_;
  }
  return low_ >= total_;
}

} // namespace

Result<std::string> LogReader::next(Client& client) {
  auto chunk = client.ask(read_);
  if (!chunk)
    return tl::unexpected<Error>(chunk.error());
  std::string text;
  if (chunk->offset > read_.offset)
    text = "\n[" + std::to_string(chunk->offset - read_.offset) + " bytes were not kept]\n";
  text += chunk->data.data;
  read_.offset = std::max(read_.offset, chunk->offset + chunk->data.data.size());
  if (read_.attempt == 0)
    read_.attempt = chunk->attempt;
  // Only an empty piece is the last one: `ended` may come with the first of several.
  ended_ = chunk->ended && (chunk->data.data.empty() || read_.offset >= chunk->written);
  return text;
}

void PrefixedWriter::write(const std::string& text) {
  if (prefix_.empty()) {
    out_ << text << std::flush;
    return;
  }
  rest_ += text;
  std::size_t begin = 0;
  for (std::size_t end = rest_.find('\n'); end != std::string::npos;
       end = rest_.find('\n', begin)) {
    out_ << prefix_ << std::string_view(rest_).substr(begin, end + 1 - begin);
    begin = end + 1;
  }
  rest_.erase(0, begin);
  out_ << std::flush;
}

void PrefixedWriter::finish() {
  if (!rest_.empty())
    out_ << prefix_ << rest_ << "\n" << std::flush;
  rest_.clear();
}

Result<void> print_log(Session& session, Client& client, const LogWanted& wanted,
                       const std::string& prefix, bool follow) {
  LogReader out(wanted.job, wanted.index, wanted.attempt, Stream::out);
  LogReader err(wanted.job, wanted.index, wanted.attempt, Stream::err);
  PrefixedWriter to_out(session.terminal.out, prefix), to_err(session.terminal.err, prefix);
  const auto read = [&](LogReader& reader, PrefixedWriter& writer, bool on) -> Result<bool> {
    if (!on || reader.ended())
      return true;
    while (true) {
      auto piece = reader.next(client);
      if (!piece)
        return tl::unexpected<Error>(piece.error());
      writer.write(*piece);
      if (reader.ended() || piece->empty())
        return reader.ended();
    }
  };
  while (true) {
    const auto out_ended = read(out, to_out, wanted.out);
    const auto err_ended = out_ended ? read(err, to_err, wanted.err) : out_ended;
    if (!out_ended || !err_ended)
      return tl::unexpected<Error>(out_ended ? err_ended.error() : out_ended.error());
    if (!follow || (*out_ended && *err_ended))
      break;
    if (auto polled = client.poll(look_again); !polled)
      return polled;
  }
  to_out.finish();
  to_err.finish();
  return {};
}

Result<void> follow_tasks(Session& session, Client& client,
                          const std::vector<FollowWanted>& wanted) {
  using Clock = std::chrono::steady_clock;
  const auto deadline =
    session.timeout.count() > 0 ? Clock::now() + session.timeout : Clock::time_point::max();
  std::vector<JobFollower> open;
  for (const auto& one : wanted)
    open.emplace_back(session, client, one, wanted.size() > 1);
  while (!open.empty()) {
    for (auto at = open.begin(); at != open.end();) {
      auto ended = at->look();
      if (!ended && (session.terminal.interrupted() || !will_pass(ended.error())))
        return tl::unexpected<Error>(ended.error());
      at = ended && *ended ? open.erase(at) : at + 1;
    }
    if (open.empty())
      break;
    if (Clock::now() >= deadline)
      return fail(Code::timed_out, "", "the jobs had not ended in time");
    const auto again = Clock::now() + look_again; // poll returns early when replies come in
    while (Clock::now() < again)
      if (auto polled = client.poll(std::chrono::ceil<Duration>(again - Clock::now())); !polled)
        return polled;
  }
  return {};
}

} // namespace reeve::cli
