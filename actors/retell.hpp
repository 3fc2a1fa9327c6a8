// What the journal still has, told again: after a start the event stream's ring is filled with it,
// so that a reader who was behind when the last master ended misses nothing. No CAF here.
#pragma once

#include "src/events/events.hpp"
#include "src/journal/journal.hpp"

namespace reeve::actors {

/// Events of every entry after the newest snapshot, in order, as they were told when they happened.
/// Returns the seq of the last entry. Errors: those of reading the journal.
Result<Seq> retell(journal::Journal& journal, const events::Teller::Each& each);

} // namespace reeve::actors
