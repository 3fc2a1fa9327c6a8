// Words and whole numbers divided by white space: what the kernel writes in /proc and in cgroup
// files, and what programs on one machine say to each other. Used by agent, keeper, master and the
// readers of workloads. Takes text and opens nothing; what is damaged gives fewer words, no error.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace reeve {

constexpr std::string_view white_space = " \t\n\v\f\r";

/// Takes the next word from the front of `text`; empty: there is none.
inline std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(white_space));
  text.remove_prefix(word.size());
  return word;
}

inline std::vector<std::string_view> words_in(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text))
    words.push_back(word);
  return words;
}

/// At most `most` whole numbers from the front of `text`, up to a word that is none or does not fit
/// a T.
template<class T>
std::vector<T> numbers_in(std::string_view text,
                          std::size_t most = std::numeric_limits<std::size_t>::max()) {
  std::vector<T> numbers;
  while (numbers.size() < most) {
    const std::string_view word = next_word(text);
    T number{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (word.empty() || error != std::errc{} || end != word.data() + word.size())
      break;
    numbers.push_back(number);
  }
  return numbers;
}

/// The number behind the word `key`, as in "oom_kill 3" and "MemTotal:  16318412 kB"; 0: none.
inline std::uint64_t number_after(std::string_view text, std::string_view key) {
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text))
    if (word == key) {
      const auto number = numbers_in<std::uint64_t>(text, 1);
      return number.empty() ? 0 : number.front();
    }
  return 0;
}

} // namespace reeve
