// See amounts.hpp.
#include "src/sched/amounts.hpp"

#include <algorithm>

namespace reeve::sched {

using What = Column::What;

Columns::Columns() : columns_{{What::cpu, {}}, {What::memory, {}}, {What::room, {}}} {}

std::optional<std::size_t> Columns::find(const Column& column) const {
  const auto at = std::find(columns_.begin(), columns_.end(), column);
  if (at == columns_.end())
    return {};
  return static_cast<std::size_t>(at - columns_.begin());
}

bool Columns::add(const Column& column) {
  if (find(column))
    return false;
  columns_.push_back(column);
  return true;
}

bool Columns::add_for(const core::Kind& kind) {
  bool added = false;
  if (kind.resources.disk_bytes > 0)
    added |= add({What::disk, {}});
  for (const auto& [name, amount] : kind.resources.named_milli)
    if (amount > 0)
      added |= add({What::named, name});
  if (kind.exclusive)
    added |= add({What::idle, {}});
  if (kind.overcommit) {
    added |= add({What::cpu_over, {}});
    added |= add({What::memory_over, {}});
  }
  return added;
}

Amounts Columns::of(const Resources& r, std::int64_t rest) const {
  Amounts out(columns_.size());
  fill(r, rest, out);
  return out;
}

void Columns::fill(const Resources& r, std::int64_t rest, std::span<std::int64_t> out) const {
  std::ranges::fill(out, rest);
  for (std::size_t i = 0; i < columns_.size(); ++i)
    switch (columns_[i].what) {
    case What::cpu:
      out[i] = r.cpu_milli;
      break;
    case What::memory:
      out[i] = r.memory_bytes;
      break;
    case What::disk:
      out[i] = r.disk_bytes;
      break;
    case What::named: {
      const auto at = r.named_milli.find(columns_[i].name);
      out[i] = at == r.named_milli.end() ? 0 : at->second;
      break;
    }
    case What::room:
    case What::idle:
    case What::cpu_over:
    case What::memory_over:
    case What::tasks:
    case What::open:
      break;
    }
}

Amounts Columns::need_of(const core::Kind& kind, bool use_reserve) const {
  Amounts out = of(kind.resources, 0);
  for (std::size_t i = 0; i < columns_.size(); ++i)
    switch (columns_[i].what) {
    case What::cpu:
    case What::memory:
      if (kind.overcommit)
        out[i] = 0;
      break;
    case What::cpu_over:
      out[i] = kind.overcommit ? kind.resources.cpu_milli : 0;
      break;
    case What::memory_over:
      out[i] = kind.overcommit ? kind.resources.memory_bytes : 0;
      break;
    case What::room:
      out[i] = is_zero(kind.resources) ? room_of_free_task : room_of_task;
      break;
    case What::idle:
      out[i] = kind.exclusive ? 1 : 0;
      break;
    case What::tasks:
      out[i] = 1;
      break;
    case What::open: {
      // With overcommit the columns for that have the reserve taken off.
      const bool over =
        kind.overcommit && (columns_[i].name == "vcores" || columns_[i].name == "memory");
      out[i] = use_reserve || over ? 0 : amount_of(kind.resources, columns_[i].name);
      break;
    }
    case What::disk:
    case What::named:
      break;
    }
  return out;
}

Amounts Columns::cost_of(const core::Kind& kind) const {
  Amounts out = of(kind.resources, 0);
  if (const auto tasks = find({What::tasks, {}}))
    out[*tasks] = 1;
  return out;
}

Amounts Columns::booking_of(const core::Kind& kind) const {
  Amounts out = of(kind.resources, 0);
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].what == What::cpu_over)
      out[i] = kind.resources.cpu_milli;
    else if (columns_[i].what == What::memory_over)
      out[i] = kind.resources.memory_bytes;
    else if (columns_[i].what == What::open)
      out[i] = amount_of(kind.resources, columns_[i].name);
  out[room] = need_of(kind, true)[room];
  return out;
}

bool Columns::is_resource(std::size_t column) const {
  const What what = columns_[column].what;
  return what == What::cpu || what == What::memory || what == What::disk || what == What::named;
}

std::string Columns::name_of(std::size_t column) const {
  switch (columns_[column].what) {
  case What::cpu:
  case What::cpu_over:
    return "vcores";
  case What::memory:
  case What::memory_over:
    return "memory";
  case What::disk:
    return "disk";
  case What::room:
    return "places for tasks";
  case What::idle:
    return "an empty node";
  case What::tasks:
    return "tasks";
  case What::open:
  case What::named:
    break;
  }
  return columns_[column].name;
}

std::int64_t amount_of(const Resources& r, const std::string& name) {
  if (name == "vcores")
    return r.cpu_milli;
  if (name == "memory")
    return r.memory_bytes;
  if (name == "disk")
    return r.disk_bytes;
  const auto at = r.named_milli.find(name);
  return at == r.named_milli.end() ? 0 : at->second;
}

std::int64_t times_in(std::span<const std::int64_t> have, const Amounts& need, std::int64_t most) {
  for (std::size_t i = 0; i < need.size(); ++i)
    if (need[i] > 0)
      most = std::min(most, have[i] <= 0 ? 0 : have[i] / need[i]);
  return most;
}

} // namespace reeve::sched
