// Captured output of tasks: per attempt and stream one file with the first and the last `limit`
// bytes. The keeper writes, the agent reads the same files without asking the keeper, also while
// the task runs. Must never grow beyond 2 x limit a stream.
//
// File: 64 bytes of header, `limit` bytes head, then a ring of `limit` bytes: offset o >= limit
// lies at (o - limit) % limit. The header says how much was written; a reader looks at it before
// and after, so that it never returns overwritten ring bytes.
#pragma once

#include "agents/worker/keeper_protocol.hpp"
#include "messages/protocol.hpp"

#include <string>
#include <string_view>

namespace reeve::worker {

/// Bytes of one stream of one attempt from `offset` on, at most `limit`. Offsets count what the
/// task wrote; when `offset` falls into the dropped gap, the chunk starts where the tail begins.
/// `written`: by the task so far. A stream without output has no file and yields an empty chunk
/// with written 0, as does output that was forgotten. `ended` is left false: the caller knows what
/// runs. Errors: io, corrupt.
Result<LogChunk> read_output(const std::string& dir, const AttemptId& id, Stream stream,
                             std::uint64_t offset, std::uint32_t limit);

} // namespace reeve::worker
