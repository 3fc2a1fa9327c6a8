// What every shell needs: the clock, and an end that tells why. The only place below main where
// time is read.
#pragma once

#include "actors/types.hpp"

#include <chrono>

namespace reeve::actors {

/// For facts: what a calendar says.
TimePoint wall_now();
/// For silence and patience: starts as the wall clock, then runs evenly even when somebody sets the
/// clock.
TimePoint steady_now();

/// Of an actor with a thread of its own, or any other thread: what places and runs work comes
/// first.
void give_way();

/// An exception ends the actor, the guard then ends the process; this writes down what it was.
void report_exceptions(caf::scheduled_actor* self, const char* name);

template<class T> void post(caf::event_based_actor* self, const caf::actor& to, T content) {
  self->send(to, Parcel<T>(std::move(content)));
}
/// From a thread that is no actor.
template<class T> void post_anonymously(const caf::actor& to, T content) {
  caf::anon_send(to, Parcel<T>(std::move(content)));
}

} // namespace reeve::actors
