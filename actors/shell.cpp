// See shell.hpp.
#include "actors/shell.hpp"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace reeve::actors {

TimePoint wall_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

TimePoint steady_now() {
  static const TimePoint wall_start = wall_now();
  static const auto steady_start = std::chrono::steady_clock::now();
  return wall_start +
         std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - steady_start);
}

void give_way() {
  constexpr int niceness = 5;
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), niceness);
}

void report_exceptions(caf::scheduled_actor* self, const char* name) {
  self->set_exception_handler(
    [name](caf::scheduled_actor*, std::exception_ptr& thrown) -> caf::error {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        spdlog::critical("{}: exception: {}", name, error.what());
      } catch (...) {
        spdlog::critical("{}: unknown exception", name);
      }
      return caf::sec::runtime_error;
    });
}

} // namespace reeve::actors
