// Rules for messages from outside that the schema cannot say. Pure functions; errors name the
// field. Used by the gateway core.
#pragma once

#include "messages/protocol.hpp"

namespace reeve::gateway {

/// The version of a header that could not be decoded, or whose version is not spoken: 0 when it
/// cannot be told. And its correlation id.
struct HeaderHint {
  std::uint64_t version = 0, correlation = 0;
};
HeaderHint hint_of(std::string_view header);

/// Every run lies inside the largest array that a job can have: nothing downstream can overflow.
Result<void> check_runs(const std::vector<JobRuns>& jobs, std::string_view path);
Result<void> check(const Results& message);
Result<void> check(const RegisterNode& message);

} // namespace reeve::gateway
