// Which captured output stays. See output_store.hpp.
#include "agents/worker/output_store.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sys/stat.h>
#include <vector>

namespace reeve::worker {

std::optional<AttemptId> parse_output_name(std::string_view name) {
  if (!name.ends_with(".out") && !name.ends_with(".err"))
    return std::nullopt;
  name.remove_suffix(4);
  std::uint64_t parts[3] = {0, 0, 0};
  for (int k = 0; k < 3; ++k) {
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), parts[k]);
    if (error != std::errc{})
      return std::nullopt;
    name.remove_prefix(static_cast<std::size_t>(end - name.data()));
    if (k < 2) {
      if (!name.starts_with('.'))
        return std::nullopt;
      name.remove_prefix(1);
    }
  }
  if (!name.empty() || parts[1] > UINT32_MAX || parts[2] > UINT32_MAX)
    return std::nullopt;
  return AttemptId{JobId(parts[0]), static_cast<TaskIndex>(parts[1]),
                   static_cast<Attempt>(parts[2])};
}

std::vector<OutputFiles> list_outputs(const std::string& dir) {
  std::map<AttemptId, OutputFiles> found;
  std::error_code error;
  std::filesystem::directory_iterator file(dir + "/output", error);
  for (; !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    const auto id = parse_output_name(file->path().filename().native());
    struct stat st {};
    if (!id || ::lstat(file->path().c_str(), &st) != 0)
      continue;
    OutputFiles& mine = found[*id];
    mine.id = *id;
    mine.written = std::max(mine.written, TimePoint(std::chrono::seconds(st.st_mtim.tv_sec) +
                                                    Duration(st.st_mtim.tv_nsec / 1'000)));
    mine.bytes += static_cast<std::uint64_t>(st.st_size);
  }
  std::vector<OutputFiles> by_age;
  by_age.reserve(found.size());
  for (const auto& [id, mine] : found)
    by_age.push_back(mine);
  std::ranges::sort(by_age, {}, [](const OutputFiles& f) { return std::pair(f.written, f.id); });
  return by_age;
}

void OutputStore::scan() {
  for (const OutputFiles& files : list_outputs(dir_))
    ended(files.id, files.bytes);
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
