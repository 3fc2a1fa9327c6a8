// Many events in one message, for readers of all of them: each with a head, so that a reader passes
// over what it does not want without decoding it. Written by the publisher, which keeps them so,
// too; read by the client. Bytes that are read are hostile. PROTOCOL.md, "Events", has the form.
#pragma once

#include "messages/protocol.hpp"

#include <string_view>

namespace reeve {

/// One event of a pack; points into the pack.
struct PackedEvent {
  Seq seq;
  std::uint32_t part = 0;
  std::string_view topic, event; // event: encoded
};

class EventPack {
public:
  /// Returns what has been added; it is good until the next one.
  PackedEvent add(const Event& event);
  /// Begins anew, in the same memory.
  void clear();
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] Seq first() const { return first_; } // of the oldest event
  [[nodiscard]] Seq last() const { return last_; }   // of the newest
  [[nodiscard]] std::uint32_t last_part() const { return last_part_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

private:
  std::string bytes_;
  std::uint32_t count_ = 0, last_part_ = 0;
  Seq first_, last_;
};

/// Reads a pack front to back. What is no pack has no events, what is torn fewer than its head
/// says.
class PackReader {
public:
  explicit PackReader(std::string_view bytes);
  /// As the head says; at most as many as there may be in so many bytes.
  [[nodiscard]] std::uint32_t count() const { return count_; }
  std::optional<PackedEvent> next();

private:
  std::string_view rest_;
  std::uint32_t count_ = 0, read_ = 0;
};

/// Appends `<kind>.<job or node>`, so that subscribers choose by prefix.
void put_topic(std::string& out, const Event& event);

} // namespace reeve
