// See output_sweep.hpp.
#include "agents/worker/output_sweep.hpp"

#include "agents/worker/output_store.hpp"
#include "src/util/text.hpp"

namespace reeve::worker {

OldOutputs old_outputs(const std::string& dir, TimePoint before) {
  OldOutputs out;
  for (const OutputFiles& files : list_outputs(dir)) {
    if (files.written >= before) {
      ++out.kept;
    } else if (out.attempts.size() == OldOutputs::most) {
      out.more = true;
    } else {
      out.attempts.push_back(files.id);
      out.bytes += files.bytes;
    }
  }
  return out;
}

std::string report_of(const OldOutputs& old, Duration keep, bool done) {
  return std::string(done ? "removed" : "would remove") + " the output of " +
         std::to_string(old.attempts.size()) +
         (old.attempts.size() == 1 ? " attempt" : " attempts") + " (" +
         format_size(static_cast<std::int64_t>(old.bytes)) + (old.bytes < 1024 ? " bytes" : "") +
         ") last written more than " + format_duration(keep) + " ago" +
         (old.more ? ", and more of it next time" : "") + "; " + std::to_string(old.kept) +
         " younger " + (old.kept == 1 ? "one stays" : "ones stay");
}

} // namespace reeve::worker
