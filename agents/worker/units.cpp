// See units.hpp.
#include "agents/worker/units.hpp"

#include <cstddef>

namespace reeve::worker {

Units::Units(const std::map<std::string, std::int64_t>& capacity_milli) {
  for (const auto& [name, milli] : capacity_milli) {
    if (milli <= 0 || milli > most * 1'000)
      continue;
    List& list = lists_[name];
    list.resize(static_cast<std::size_t>(milli / 1'000));
    if (milli % 1'000 > 0)
      list.push_back({.capacity = milli % 1'000});
  }
}

bool Units::take_whole(const std::string& name, List& list, std::int64_t count,
                       std::vector<UnitShare>& out) {
  for (std::size_t k = 0; k < list.size() && count > 0; ++k) {
    if (list[k].used != 0 || list[k].capacity != 1'000)
      continue;
    list[k].used = 1'000;
    out.push_back({name, static_cast<std::uint32_t>(k), 1'000});
    --count;
  }
  return count == 0;
}

bool Units::take_part(const std::string& name, List& list, std::int64_t milli,
                      std::vector<UnitShare>& out) {
  Unit* best = nullptr;
  for (Unit& unit : list)
    if (unit.room() >= milli && (!best || unit.room() < best->room()))
      best = &unit;
  if (!best)
    return false;
  best->used += milli;
  out.push_back({name, static_cast<std::uint32_t>(best - list.data()), milli});
  return true;
}

std::optional<std::vector<UnitShare>>
Units::take(const std::map<std::string, std::int64_t>& need_milli) {
  std::vector<UnitShare> taken;
  for (const auto& [name, milli] : need_milli) {
    const auto list = lists_.find(name);
    if (list == lists_.end() || milli <= 0)
      continue;
    if (take_whole(name, list->second, milli / 1'000, taken) &&
        (milli % 1'000 == 0 || take_part(name, list->second, milli % 1'000, taken)))
      continue;
    give_back(taken);
    return std::nullopt;
  }
  return taken;
}

Units::Unit* Units::find(const UnitShare& share) {
  const auto list = lists_.find(share.name);
  return list != lists_.end() && share.unit < list->second.size() ? &list->second[share.unit]
                                                                  : nullptr;
}

void Units::adopt(const std::vector<UnitShare>& held) {
  for (const UnitShare& share : held)
    if (Unit* unit = find(share))
      unit->used += share.milli;
}

void Units::give_back(const std::vector<UnitShare>& held) {
  for (const UnitShare& share : held)
    if (Unit* unit = find(share))
      unit->used -= share.milli;
}

std::int64_t Units::room(const std::string& name, std::uint32_t unit) const {
  const auto list = lists_.find(name);
  return list != lists_.end() && unit < list->second.size() ? list->second[unit].room() : 0;
}

void tell_units(const std::vector<UnitShare>& units, std::map<std::string, std::string>& env) {
  std::map<std::string, std::string> lists; // by resource
  for (const UnitShare& share : units) {
    std::string& list = lists[share.name];
    list += (list.empty() ? "" : ",") + std::to_string(share.unit);
  }
  for (const auto& [name, list] : lists) {
    std::string variable = "REEVE_";
    for (const char c : name) {
      const bool small = c >= 'a' && c <= 'z';
      const bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      variable += small ? static_cast<char>(c - 'a' + 'A') : (plain ? c : '_');
    }
    env.emplace(variable, list);
    if (name == "gpu")
      env.emplace("CUDA_VISIBLE_DEVICES", list);
  }
}

} // namespace reeve::worker
