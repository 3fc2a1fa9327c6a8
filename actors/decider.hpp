// What all deciders have in common: a view fed by committed batches, a refusal that is news, and
// wishes for the ledger. `Core` is a plain class with reset(changes), apply(changes), decide(now)
// and refused(command, error), or refused(placements) when it places; suspect(nodes) when it cares;
// more() when it decides in pieces.
// The shells that derive from this add what else they take.
#pragma once

#include "actors/shell.hpp"

namespace reeve::actors {

template<class Core> class DeciderShell : public caf::event_based_actor {
public:
  DeciderShell(caf::actor_config& config, const char* name, Core core, DirectoryPtr directory,
               Duration tick_every)
      : event_based_actor(config), core_(std::move(core)), directory_(std::move(directory)),
        name_(name), tick_every_(tick_every) {
    report_exceptions(this, name);
  }

protected:
  caf::behavior make_behavior() override { return own_messages().or_else(common()); }
  virtual caf::message_handler own_messages() { return {}; }
  /// After each decision.
  virtual void decided() {}
  /// Which clock the core's `now` is.
  [[nodiscard]] virtual TimePoint now() const { return wall_now(); }

  /// Decides after whatever is in the mailbox already, so that many batches cost one decision.
  void think_soon() {
    if (thinking_ || !described_)
      return;
    thinking_ = true;
    send(this, think_atom::value);
  }

  Core core_;
  DirectoryPtr directory_;

private:
  caf::message_handler common() {
    return {
      [this](start_atom) { delayed_send(this, tick_every_, tick_atom::value); },
      [this](const Described& described) {
        described_ = true;
        core_.reset(*described.changes);
        think_soon();
      },
      [this](const core::CommittedPtr& batch) {
        core_.apply(batch->changes);
        think_soon();
      },
      [this](const Refused& refused) {
        if constexpr (requires { core_.refused(refused.wish->placements); })
          core_.refused(refused.wish->placements);
        else if (refused.command)
          core_.refused(*refused.command, *refused.wish->error);
        think_soon();
      },
      [this](const Parcel<Suspicion>& suspicion) {
        if constexpr (requires { core_.suspect(std::vector<NodeId>()); })
          core_.suspect(suspicion.take().nodes);
        think_soon();
      },
      [this](tick_atom) {
        delayed_send(this, tick_every_, tick_atom::value);
        think_soon();
      },
      [this](think_atom) {
        thinking_ = false;
        const TimePoint begun = steady_now();
        if (auto commands = core_.decide(now()); !commands.empty())
          post(this, directory_->ledger, Wishes{std::move(commands)});
        if constexpr (requires { core_.more(); })
          if (core_.more())
            think_soon();
        const TimePoint finished = steady_now();
        pass_.took(finished - begun);
        decided();
        if (finished - told_ >= std::chrono::seconds(1)) {
          told_ = finished;
          post(this, directory_->ledger, Counted{{}, {{"pass." + name_, pass_.histogram()}}});
        }
      },
    };
  }

  std::string name_;
  Duration tick_every_;
  ledger::Latency pass_;   // how long decisions take
  TimePoint told_;         // when the ledger was last told
  bool described_ = false; // nothing is decided before the whole state is known
  bool thinking_ = false;
};

} // namespace reeve::actors
