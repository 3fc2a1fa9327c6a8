// What was, for questions: hands questions to the history's own thread, and its answers to the
// gateway. The ledger hands committed batches there itself. Shell around history::Recorder. Decides
// nothing, and nobody waits for it but a snapshot: what the journal forgets must be in the history
// first.
#pragma once

#include "actors/types.hpp"
#include "src/deciders/settings.hpp"
#include "src/history/recorder.hpp"
#include "src/history/sla.hpp"

namespace reeve::actors {

using RecorderPtr = std::shared_ptr<history::Recorder>;
/// Null when `path` is empty: nothing is kept. `reader`: a way to read the journal again, for what
/// was missed.
RecorderPtr make_recorder(std::string path, std::unique_ptr<journal::Journal> reader);

class ArchivistActor : public caf::event_based_actor {
public:
  ArchivistActor(caf::actor_config& config, RecorderPtr recorder, DirectoryPtr directory);

protected:
  caf::behavior make_behavior() override;
  void on_exit() override;

private:
  caf::behavior without_history();
  void answer(gateway::ForArchivist asked);
  void answer(Swept swept);
  caf::result<done_atom> settle(Seq seq);
  void learn(const core::Changes& changes);
  void remind_scheduler();
  void learn(const std::map<std::string, std::string>& changed);
  void judge_promises();

  RecorderPtr recorder_; // null: without a history
  DirectoryPtr directory_;
  Duration keep_{0};
  std::vector<history::SlaTarget> targets_;
  Duration sla_window_{0}, sla_check_every_{0};
  TimePoint judged_;
  bool described_ = false;
  std::map<std::uint64_t, caf::response_promise> settling_;
  std::uint64_t newest_settling_ = 0;
};

} // namespace reeve::actors
