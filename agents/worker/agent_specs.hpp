// The specifications of jobs whose tasks outlive the agent, in one append-only file of the state
// directory: the next agent books what the tasks it adopts hold, and knows what the master will not
// send again. Owned by the loop. Not synced: after a crash of the machine no task is left either.
#pragma once

#include "messages/error.hpp"
#include "messages/protocol.hpp"

#include <map>
#include <string>

namespace reeve::worker {

class SpecLog {
public:
  /// Reads what is there; a torn end is cut off. Errors: io.
  static Result<SpecLog> open(const std::string& path);
  /// What a file with these bytes holds.
  static std::map<JobId, Raw> parse(std::string_view bytes);
  SpecLog(SpecLog&& other) noexcept;
  SpecLog& operator=(SpecLog&& other) noexcept;
  ~SpecLog();

  [[nodiscard]] const std::map<JobId, Raw>& specs() const { return specs_; }
  /// Rewrites the file with only those for which `keep(job)` holds.
  template<class F> Result<void> retain(F&& keep) {
    std::erase_if(specs_, [&](const auto& entry) { return !keep(entry.first); });
    return rewrite();
  }
  Result<void> put(JobId job, const Raw& spec);
  Result<void> drop(JobId job);

private:
  SpecLog() = default;
  Result<void> append(const AssignedSpec& record); // a nil spec: dropped
  Result<void> rewrite();

  std::string path_;
  int fd_ = -1;
  std::map<JobId, Raw> specs_;
  std::size_t written_ = 0, live_ = 0; // bytes
};

} // namespace reeve::worker
