// Gives the history what it missed: entries that became durable before this process began, or that
// its recorder had to drop. Replays the journal from its snapshot, because what an entry did to
// jobs is not in the entry. Runs on the recorder's thread. No CAF here.
#pragma once

#include "src/history/history.hpp"
#include "src/journal/journal.hpp"

namespace reeve::actors {

/// Records (history.last(), upto]. When the journal begins later than that, notes the gap and
/// adopts the jobs that its snapshot holds. Errors: those of reading the journal and of writing the
/// history.
Result<void> refill(journal::Journal& journal, history::History& history, Seq upto);

} // namespace reeve::actors
