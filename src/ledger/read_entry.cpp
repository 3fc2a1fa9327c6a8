// See read_entry.hpp.
#include "src/ledger/read_entry.hpp"

namespace reeve::ledger {

Result<Entry> read_entry(Seq seq, std::string_view bytes) {
  auto entry = decode<Entry>(bytes, stored_limits);
  if (entry)
    return entry;
  const std::string place = "entry " + std::to_string(seq.value);
  // Well formed, and with a field or an alternative that is not known here.
  if (entry.error().code == Code::bad_field)
    return fail(Code::unknown_version, place,
                entry.error().message() +
                  "; a newer version has written it: this program must be upgraded");
  return fail(Code::corrupt, place, entry.error().message());
}

} // namespace reeve::ledger
