// Every type that declares its fields, behind one plain interface: tests loop over it without
// compiling anything once a type. Used by the tests of this folder and by the fuzz targets.
#pragma once

#include "messages/error.hpp"
#include "tests/unit/messages/dice.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reeve::test {

struct FieldInfo {
  std::string name;
  bool required = false;
  bool holds_any = false; // msgpack of any type
};
struct TypeInfo {
  std::string name;
  bool as_array = false;
  bool is_fact = false;
  std::optional<unsigned> message; // its MessageType
  std::vector<FieldInfo> fields;
  std::string (*defaults)();         // the bytes of a value that nobody has touched
  std::string (*sample)();           // of a value with every field set, always the same
  std::string (*random)(Dice& dice); // of a random one within its bounds
  /// Reads a value and writes it again.
  Result<std::string> (*again)(std::string_view bytes);
};
const std::vector<TypeInfo>& type_table();

} // namespace reeve::test
