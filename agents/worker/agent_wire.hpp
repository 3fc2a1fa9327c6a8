// Between frames and the core's messages. What a master sends is hostile like everything from a
// socket: bounded, checked, and an error names the field. No I/O.
#pragma once

#include "agents/worker/agent_core.hpp"

namespace reeve::worker {

struct Incoming {
  Header header;
  FromMaster message;
};
/// Errors: those of decode; unknown_version, unknown_type.
Result<Incoming> decode_from_master(std::string_view header, std::string_view body);
/// Both frames.
std::pair<std::string, std::string> encode_to_master(const ToMaster& message, Epoch epoch);

} // namespace reeve::worker
