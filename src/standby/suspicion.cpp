// See suspicion.hpp.
#include "src/standby/suspicion.hpp"

#include <algorithm>

namespace reeve::standby {

void Suspicion::begin(bool vacant, Duration more, TimePoint now) {
  vacant_ = vacant;
  more_ = more;
  beat_ = answer_ = tick_ = now;
  known_ = refused_ = false;
}

void Suspicion::answered(TimePoint now) {
  answer_ = now;
  known_ = true;
  refused_ = false;
}

void Suspicion::tick(TimePoint now) {
  if (now - tick_ > patience_.tick)
    beat_ = answer_ = now;
  tick_ = now;
}

bool Suspicion::silent(TimePoint now) const {
  return now - std::max(beat_, answer_) > patience_.silence + more_;
}

bool Suspicion::dead(TimePoint now) const {
  return vacant_ || refused_ || silent(now) || now - beat_ > patience_.useless + more_;
}

const char* Suspicion::reason(TimePoint now) const {
  return vacant_       ? "nobody reigns"
         : refused_    ? "its process is gone"
         : silent(now) ? "it is silent, in etcd and on its own address"
                       : "it does not reach etcd";
}

} // namespace reeve::standby
