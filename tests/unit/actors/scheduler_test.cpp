// The scheduler's shell by itself: how many questions it lets wait, and what it tells the others.
#include "actors/scheduler.hpp"

#include <gtest/gtest.h>
#include <map>

namespace reeve::actors {
namespace {

using namespace std::chrono_literals;

TEST(scheduler_actor, beyond_a_thousand_questions_that_wait_the_others_are_told_busy) {
  constexpr std::uint64_t asked = 1'300, wait = 1'000;
  caf::actor_system_config config;
  caf::actor_system system(config);
  caf::scoped_actor self(system);
  auto directory = std::make_shared<Directory>();
  directory->gateway = caf::actor_cast<caf::actor>(self);
  const caf::actor scheduler = system.spawn<SchedulerActor>(directory);

  SchedulerMail mail;
  for (std::uint64_t i = 0; i < asked; ++i)
    mail.items.push_back({gateway::Origin{7, i}, Explain{JobId(1), 0}});
  post_anonymously(scheduler, std::move(mail));

  std::map<std::uint64_t, Failed> answers;
  while (answers.size() < asked) {
    bool late = false;
    self->receive(
      [&](const Parcel<Effects>& parcel) {
        for (const ledger::Effect& effect : parcel.take().effects) {
          const auto& message = std::get<ledger::ToPeer>(effect);
          EXPECT_EQ(message.peer, 7u);
          ASSERT_EQ(message.type, MessageType::failed);
          EXPECT_TRUE(
            answers.emplace(message.correlation, decode<Failed>(message.body).value()).second)
            << "answered twice: " << message.correlation;
        }
      },
      caf::after(30s) >> [&] { late = true; });
    ASSERT_FALSE(late) << "only " << answers.size() << " were answered";
  }
  // Nobody knows the job; those who were not let in were not even asked about it.
  for (const auto& [number, answer] : answers) {
    EXPECT_EQ(answer.code, number < wait ? Code::not_found : Code::busy) << number;
    EXPECT_EQ(answer.retry_after, number < wait ? Duration(0) : Duration(1s)) << number;
  }
  self->send_exit(scheduler, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace reeve::actors
