// Every message and structure: what is read can be written, and is then read as the same.
#include "tests/fuzz/target.hpp"
#include "tests/unit/messages/type_table.hpp"

// Two bytes: the number of a message, or 1000 and the place of a type in the table. Then its bytes.
REEVE_FUZZ(messages) {
  reeve::fuzz::Pieces pieces(input);
  const auto number = pieces.number(2);
  std::uint64_t place = 1'000;
  for (const auto& type : reeve::test::type_table()) {
    if (number != place++ && number != type.message)
      continue;
    const auto value = type.again(pieces.rest());
    if (!value) {
      REQUIRE(!value.error().text.empty());
      continue;
    }
    const auto again = type.again(*value);
    REQUIRE(again && *again == *value);
  }
}
