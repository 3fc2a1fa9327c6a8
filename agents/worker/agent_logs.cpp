// See agent_logs.hpp.
#include "agents/worker/agent_logs.hpp"

#include "agents/worker/agent_control.hpp"
#include "agents/worker/output_store.hpp"
#include "src/util/text.hpp"
#include "src/util/words.hpp"

#include <cstdio>
#include <filesystem>
#include <sys/stat.h>
#include <thread>

namespace reeve::worker {
namespace {

constexpr auto look_again = std::chrono::milliseconds(100);
constexpr std::uint32_t piece = 65'536;
constexpr Attempt attempts_looked_at = 1'000;

/// One stream of one task: what has been printed of it.
struct Followed {
  Stream stream = Stream::out;
  std::uint64_t offset = 0;
  std::string rest; // an unfinished line
  bool ended = false;
};
struct OutputTask {
  AttemptId id;
  std::string prefix;
  Followed out{Stream::out, 0, {}, false}, err{Stream::err, 0, {}, false};
};

/// The newest attempt whose output is here; 0: none.
Attempt newest_kept(const std::string& dir, AttemptId id) {
  Attempt newest = 0;
  std::error_code ignored;
  for (id.attempt = 1; id.attempt <= attempts_looked_at; ++id.attempt)
    for (const Stream stream : {Stream::out, Stream::err})
      if (std::filesystem::exists(output_path(dir, id, stream), ignored))
        newest = id.attempt;
  return newest;
}

/// Finds the attempt, and whether it runs. The agent knows what it has; what has ended and is
/// acknowledged only the files know.
Result<bool> find(const std::string& dir, OutputTask& task) {
  auto answer = ask_agent(
    dir, "attempt " + std::to_string(task.id.job.value) + " " + std::to_string(task.id.index),
    std::chrono::seconds(10));
  if (!answer)
    return tl::unexpected(answer.error());
  const auto newest = parse_newest_attempt(*answer);
  if (!newest)
    return tl::unexpected(newest.error());
  if (task.id.attempt == 0)
    task.id.attempt = newest->attempt != 0 ? newest->attempt : newest_kept(dir, task.id);
  return newest->attempt == task.id.attempt && newest->runs;
}

void write_output(OutputTask& task, Followed& stream, std::string_view bytes) {
  std::FILE* to = stream.stream == Stream::out ? stdout : stderr;
  if (task.prefix.empty()) {
    std::fwrite(bytes.data(), 1, bytes.size(), to);
  } else {
    stream.rest += bytes;
    for (auto end = stream.rest.find('\n'); end != std::string::npos;
         end = stream.rest.find('\n')) {
      std::fputs(task.prefix.c_str(), to);
      std::fwrite(stream.rest.data(), 1, end + 1, to);
      stream.rest.erase(0, end + 1);
    }
  }
  std::fflush(to);
}

/// Prints what is new. `over`: the attempt had ended before this look.
Result<void> print(const std::string& dir, OutputTask& task, Followed& stream, bool over) {
  while (!stream.ended) {
    auto chunk = read_output(dir, task.id, stream.stream, stream.offset, piece);
    if (!chunk)
      return tl::unexpected(chunk.error());
    if (chunk->offset > stream.offset)
      write_output(task, stream,
                   "\n[" + std::to_string(chunk->offset - stream.offset) +
                     " bytes were not kept]\n");
    write_output(task, stream, chunk->data.data);
    stream.offset = chunk->offset + chunk->data.data.size();
    if (!chunk->data.data.empty())
      continue;
    stream.ended = over;
    break;
  }
  if (stream.ended && !stream.rest.empty())
    write_output(task, stream, "\n");
  return {};
}

} // namespace

Result<AttemptId> parse_output_task(std::string_view text, char between) {
  const auto at = text.find(between);
  const auto job = parse_integer(text.substr(0, at), "TASK", 1, std::int64_t{1} << 62);
  const auto index = at == text.npos ? Result<std::int64_t>(0)
                                     : parse_integer(text.substr(at + 1), "TASK", 0, tasks_max - 1);
  if (!job || !index)
    return fail(Code::bad_field, "TASK",
                "must be JOB/TASK, such as 5/3, got '" + printable(text) + "'");
  return AttemptId{JobId(static_cast<std::uint64_t>(*job)), static_cast<TaskIndex>(*index), 0};
}

std::string text_of(NewestAttempt newest) {
  return std::to_string(newest.attempt) + (newest.runs ? " 1\n" : " 0\n");
}

Result<NewestAttempt> parse_newest_attempt(std::string_view answer) {
  const auto numbers = numbers_in<Attempt>(answer);
  if (numbers.size() != 2 || numbers[1] > 1)
    return fail(Code::bad_message, {}, "the agent said: " + printable(answer));
  return NewestAttempt{numbers[0], numbers[1] != 0};
}

Result<void> print_outputs(const std::string& dir, const std::vector<std::string>& texts,
                           bool follow) {
  std::vector<OutputTask> tasks;
  for (const auto& text : texts) {
    const auto id = parse_output_task(text, '/');
    if (!id)
      return tl::unexpected(id.error());
    OutputTask task;
    task.id = *id;
    if (texts.size() > 1)
      task.prefix = std::to_string(id->job.value) + "/" + std::to_string(id->index) + ": ";
    tasks.push_back(std::move(task));
  }
  for (bool first = true;; first = false) {
    bool all = true;
    for (OutputTask& task : tasks) {
      if (task.out.ended && task.err.ended)
        continue;
      const auto runs = find(dir, task); // before its output is read: what ends is read to its end
      if (!runs)
        return tl::unexpected(runs.error());
      if (task.id.attempt == 0) {
        if (!follow || !first)
          return fail(Code::not_found, "TASK",
                      "nothing of task " + std::to_string(task.id.job.value) + "/" +
                        std::to_string(task.id.index) + " is on this machine");
        all = false;
        continue;
      }
      for (Followed* stream : {&task.out, &task.err})
        if (auto printed = print(dir, task, *stream, !*runs || !follow); !printed)
          return printed;
      all = all && task.out.ended && task.err.ended;
    }
    if (all || !follow)
      return {};
    std::this_thread::sleep_for(look_again);
  }
}

} // namespace reeve::worker
