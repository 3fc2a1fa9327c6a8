// A folder of its own for each test, gone with it, and the batches that the journal's tests write.
#pragma once

#include "src/journal/journal.hpp"

#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

namespace reeve::journal_tests {
using namespace journal;

class TemporaryFolder {
public:
  /// On a file system in memory when there is one: for tests that sync thousands of times and only
  /// simulate the power cut.
  enum Where { on_disk, in_memory };
  explicit TemporaryFolder(Where where = on_disk) {
    std::filesystem::path base = std::filesystem::temp_directory_path();
    if (where == in_memory && ::access("/dev/shm", W_OK) == 0)
      base = "/dev/shm";
    std::string pattern = (base / "reeve-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

/// What entry `seq` holds in every test: its content follows from its number, so nothing needs to
/// be remembered.
inline std::string content_of(Seq seq, std::size_t bytes = 40) {
  std::string text = "entry " + std::to_string(seq.value) + ":";
  std::uint64_t x = seq.value * 0x9E3779B97F4A7C15ULL + 1;
  while (text.size() < bytes) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    text.push_back(static_cast<char>(x));
  }
  return text;
}

inline Batch make_batch(Seq first, std::size_t count, std::size_t bytes = 40) {
  Batch batch{first, {}};
  for (std::size_t k = 0; k < count; ++k)
    batch.entries.push_back(content_of(Seq(first.value + k), bytes));
  return batch;
}

inline Result<void> append(Journal& journal, Batch batch) {
  return journal.append(std::span<const Batch>(&batch, 1));
}

/// All entries from `from`; fails the test unless they are consecutive.
inline std::map<std::uint64_t, std::string> read_all(Journal& journal, Seq from = Seq(1)) {
  std::map<std::uint64_t, std::string> entries;
  Seq expected = from;
  auto done = journal.read(from, [&](Seq seq, std::string_view bytes) -> Result<void> {
    EXPECT_EQ(seq, expected);
    expected = seq.next();
    entries.emplace(seq.value, bytes);
    return {};
  });
  EXPECT_TRUE(done) << done.error().message();
  return entries;
}

} // namespace reeve::journal_tests
