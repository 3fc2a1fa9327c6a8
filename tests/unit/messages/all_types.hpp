// Every type that declares its fields, one after the other, with its name. For tests that must hold
// for each of them, and for the fuzz targets. A type that joins REEVE_MESSAGES, REEVE_NOUNS or
// REEVE_FACTS joins these tests.
#pragma once

#include "messages/entries.hpp"
#include "messages/protocol.hpp"

#include <concepts>
#include <type_traits>

namespace reeve::test {

/// Calls `f(std::type_identity<T>(), "T")` for every type.
template<class F> void each_type(F&& f) {
#define REEVE_EACH(T) f(std::type_identity<T>(), #T);
  REEVE_NOUNS(REEVE_EACH)
  REEVE_MESSAGES(REEVE_EACH)
  REEVE_FACTS(REEVE_EACH)
#undef REEVE_EACH
}

template<class T>
concept is_message = requires {
  { &T::type } -> std::same_as<const MessageType*>;
};

/// Calls `f(std::type_identity<T>(), "T")` for the types that are a message of their own.
template<class F> void each_message(F&& f) {
  each_type([&]<class T>(std::type_identity<T> type, const char* name) {
    if constexpr (is_message<T>)
      f(type, name);
  });
}

} // namespace reeve::test
