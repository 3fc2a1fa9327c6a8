// How much the ledger has before it, told to the gateway without a message: a mailbox has no bound,
// so the gateway must know before it sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace reeve::actors {

struct Load {
  std::atomic<std::uint64_t> queued{0};    // sent to the ledger, not yet looked at
  std::atomic<std::uint64_t> undurable{0}; // decided, not yet durable
  std::atomic<bool> full{false};           // the journal has little room left
  std::atomic<bool> in_doubt{false};       // it has not said for a while that this master reigns
};
using LoadPtr = std::shared_ptr<Load>;

} // namespace reeve::actors
