// An entry as a journal holds it, read by a program that may be older than the one that wrote it.
// Called by recovery and by standbys. Skips nothing: what is not understood is an error.
#pragma once

#include "messages/entries.hpp"

namespace reeve::ledger {

/// `bytes` are intact: the journal has checked their CRC. Errors, naming the seq: unknown_version
/// (a newer program wrote it, and says something that is new), corrupt.
Result<Entry> read_entry(Seq seq, std::string_view bytes);

} // namespace reeve::ledger
