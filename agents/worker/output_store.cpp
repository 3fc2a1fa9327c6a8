// Which captured output stays. See output_store.hpp.
#include "agents/worker/output_store.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sys/stat.h>
#include <vector>

namespace reeve::worker {
namespace {

/// "7.0.1.out" -> 7, 0, 1. False for any other name.
bool parse_name(std::string_view name, AttemptId& id) {
  if (!name.ends_with(".out") && !name.ends_with(".err"))
    return false;
  name.remove_suffix(4);
  std::uint64_t parts[3] = {0, 0, 0};
  for (int k = 0; k < 3; ++k) {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), parts[k]);
    if (error != std::errc{})
      return false;
    name.remove_prefix(static_cast<std::size_t>(end - name.data()));
    if (k < 2) {
      if (!name.starts_with('.'))
        return false;
      name.remove_prefix(1);
    }
  }
  if (!name.empty() || parts[1] > UINT32_MAX || parts[2] > UINT32_MAX)
    return false;
  id = {JobId(parts[0]), static_cast<TaskIndex>(parts[1]), static_cast<Attempt>(parts[2])};
  return true;
}

} // namespace

void OutputStore::scan() {
  struct Found {
    std::int64_t newest = 0;
    std::uint64_t bytes = 0;
  };
  std::map<AttemptId, Found> found;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(dir_ + "/output", error)) {
    AttemptId id;
    struct stat st {};
    if (!parse_name(file.path().filename().native(), id) || ::lstat(file.path().c_str(), &st) != 0)
      continue;
    Found& mine = found[id];
    mine.newest =
      std::max<std::int64_t>(mine.newest, st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec);
    mine.bytes += static_cast<std::uint64_t>(st.st_size);
  }
  std::vector<std::pair<std::int64_t, AttemptId>> by_age;
  for (const auto& [id, mine] : found)
    by_age.emplace_back(mine.newest, id);
  std::sort(by_age.begin(), by_age.end());
  for (const auto& [age, id] : by_age)
    ended(id, found[id].bytes);
}

void OutputStore::ended(const AttemptId& id, std::uint64_t bytes) {
  if (bytes == 0)
    return;
  if (auto known = by_id_.find(id);
      known != by_id_.end()) { // an attempt's number came back: its files were written over
    bytes_ -= known->second->bytes;
    entries_.erase(known->second);
    by_id_.erase(known);
  }
  by_id_[id] = entries_.insert(entries_.end(), Entry{id, bytes});
  bytes_ += bytes;
  while (entries_.size() > 1 && (bytes_ > bytes_max_ || entries_.size() > attempts_max_))
    remove(entries_.begin());
}

void OutputStore::forget(const AttemptId& id) {
  if (auto known = by_id_.find(id); known != by_id_.end())
    remove(known->second);
}

void OutputStore::remove(std::list<Entry>::iterator entry) {
  for (const Stream stream : {Stream::out, Stream::err})
    ::unlink(output_path(dir_, entry->id, stream).c_str());
  bytes_ -= entry->bytes;
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

} // namespace reeve::worker
