// A machine's own check: real programs, awaited as the agent's loop does it.
#include "agents/worker/check_script.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <unistd.h>

namespace reeve::worker {
namespace {

/// Until the check has ended once more; real time, as it runs real programs.
std::string checked(CheckScript& check) {
  const auto now = [] {
    return TimePoint(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
  };
  check.turn(now()); // starts
  while (!check.descriptors().empty()) {
    std::vector<pollfd> fds;
    for (const int fd : check.descriptors())
      fds.push_back({fd, POLLIN, 0});
    const auto left = check.wake_at() ? *check.wake_at() - now() : std::chrono::seconds(30);
    ::poll(fds.data(), fds.size(),
           static_cast<int>(std::max<std::int64_t>(left.count() / 1'000, 0)) + 1);
    check.turn(now());
  }
  return check.trouble();
}
CheckOptions check_of(const std::string& command, Duration timeout = std::chrono::seconds(30)) {
  return {command, Duration(0), timeout};
}

TEST(check_script, is_well_with_exit_code_0_whatever_it_says) {
  CheckScript check(check_of("echo all is lost; exit 0"));
  EXPECT_EQ(checked(check), "");
}
TEST(check_script, tells_its_last_line_when_it_fails) {
  CheckScript check(check_of("echo one; echo 'no disk' >&2; echo; exit 7"));
  EXPECT_EQ(checked(check), "no disk");
}
TEST(check_script, without_a_word_tells_how_it_ended) {
  CheckScript silent(check_of("exit 7"));
  EXPECT_EQ(checked(silent), "the check ended with exit code 7");
  CheckScript killed(check_of("kill -9 $$"));
  EXPECT_EQ(checked(killed), "the check was ended by signal 9");
}
TEST(check_script, that_takes_too_long_is_killed_with_all_it_started) {
  CheckScript check(check_of("sleep 600 & sleep 600", std::chrono::milliseconds(50)));
  EXPECT_EQ(checked(check), "the check ran longer than 50ms");
}
TEST(check_script, that_floods_is_read_to_its_end) {
  CheckScript check(
    check_of("head -c 3000000 /dev/zero | tr '\\0' 'a\\n'; echo; echo end; exit 1"));
  EXPECT_EQ(checked(check), "end");
}
TEST(check_script, runs_again_and_forgets_the_trouble_that_is_over) {
  const std::string flag = "/tmp/reeve-check-" + std::to_string(::getpid());
  CheckScript check(check_of("[ -e " + flag + " ] || { touch " + flag + "; echo bad; exit 1; }"));
  EXPECT_EQ(checked(check), "bad");
  EXPECT_EQ(checked(check), "");
  ::unlink(flag.c_str());
}

} // namespace
} // namespace reeve::worker
