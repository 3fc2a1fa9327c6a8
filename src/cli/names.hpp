// An enum's value from the name that `name_of` gives it, and errors that list all names. Pure. Used
// for options such as `--state`.
#pragma once

#include "src/util/text.hpp"

namespace reeve::cli {

/// Every name, with commas and "or" before the last.
template<class E> std::string names_of() {
  std::string all;
  const auto last = static_cast<unsigned>(E::last_);
  for (unsigned k = 0; k <= last; ++k)
    all += std::string(k == 0      ? ""
                       : k == last ? " or "
                                   : ", ") +
           std::string(name_of(static_cast<E>(k)));
  return all;
}

/// Error: bad_field in `field`, with the names there are.
template<class E> Result<E> parse_name(std::string_view text, std::string_view field) {
  for (unsigned k = 0; k <= static_cast<unsigned>(E::last_); ++k)
    if (name_of(static_cast<E>(k)) == text)
      return static_cast<E>(k);
  return fail(Code::bad_field, std::string(field),
              "must be " + names_of<E>() + ", got '" + printable(text) + "'");
}

/// Several, each text with commas between names.
template<class E>
Result<std::vector<E>> parse_names(const std::vector<std::string>& texts, std::string_view field) {
  std::vector<E> out;
  for (const std::string& text : texts)
    for (const std::string& name : split(text, ',')) {
      auto value = parse_name<E>(name, field);
      if (!value)
        return tl::unexpected<Error>(value.error());
      out.push_back(*value);
    }
  return out;
}

} // namespace reeve::cli
