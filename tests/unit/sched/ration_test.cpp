// What can wait gets its part of the time, however much of it there is.
#include "src/sched/ration.hpp"

#include <gtest/gtest.h>

namespace reeve::sched {
namespace {

TEST(ration, gives_a_part_of_the_time_however_much_is_asked) {
  const Duration each{700};
  Ration ration(10, Duration(50'000));
  const TimePoint start{std::chrono::hours(1)};
  TimePoint now = start;
  Duration spent{0};
  while (now < start + std::chrono::seconds(10))
    if (ration.may(now)) {
      ration.took(now, now + each);
      now += each;
      spent += each;
    } else {
      now += Duration(100); // of other work
    }
  EXPECT_LE(spent, (now - start) / 10 + Duration(5'000) + each);
  EXPECT_GE(spent, (now - start) / 11); // and has it, too
}

TEST(ration, lets_a_few_be_at_once_after_a_rest_but_saves_no_more) {
  Ration ration(10, Duration(50'000));
  TimePoint now{std::chrono::hours(1)};
  for (const int rest : {0, 24}) {
    now += std::chrono::hours(rest);
    int at_once = 0;
    for (; ration.may(now); ++at_once) {
      ration.took(now, now + Duration(1'000));
      now += Duration(1'000);
    }
    EXPECT_GE(at_once, 5);
    EXPECT_LE(at_once, 7);
    EXPECT_GT(ration.next(), now);
    EXPECT_TRUE(ration.may(ration.next()));
  }
}

} // namespace
} // namespace reeve::sched
