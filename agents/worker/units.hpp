// Which unit of a named resource is whose: gpu=2 is the units 0 and 1, gpu=1.5 a whole one and a
// half. Owned by AgentWork, which has found before that the amounts fit. Must never do I/O or read
// a clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace reeve::worker {

/// A unit, or a part of one, in thousandths.
struct UnitShare {
  static constexpr bool as_array = true;
  std::string name; // of the resource
  std::uint32_t unit = 0;
  std::int64_t milli = 1'000;

  bool operator==(const UnitShare&) const = default;
  template<class V> static void fields(V& v) {
    v("name", &UnitShare::name, {.required = true, .max = 4096});
    v("unit", &UnitShare::unit, {.required = true});
    v("milli", &UnitShare::milli, {.min = 1, .max = 1'000});
  }
};

class Units {
public:
  static constexpr std::int64_t most = 1'024; // of one resource; a larger one is only counted

  Units() = default;
  explicit Units(const std::map<std::string, std::int64_t>& capacity_milli);

  /// All of `need_milli` or none of it, in the order of names. Whole amounts get the lowest units
  /// that nobody has a part of, what is left over gets the unit with the least room that is enough,
  /// so that whole ones stay whole. None: the room is there, but in too small pieces.
  [[nodiscard]] std::optional<std::vector<UnitShare>>
  take(const std::map<std::string, std::int64_t>& need_milli);
  /// Shares of a task that ran before. Units that are no more are passed over.
  void adopt(const std::vector<UnitShare>& held);
  void give_back(const std::vector<UnitShare>& held);

  /// What nobody has of a unit; 0 when there is no such unit.
  [[nodiscard]] std::int64_t room(const std::string& name, std::uint32_t unit) const;

private:
  struct Unit {
    std::int64_t capacity = 1'000, used = 0;
    [[nodiscard]] std::int64_t room() const { return capacity - used; }
  };
  using List = std::vector<Unit>;
  static bool take_whole(const std::string& name, List& list, std::int64_t count,
                         std::vector<UnitShare>& out);
  static bool take_part(const std::string& name, List& list, std::int64_t milli,
                        std::vector<UnitShare>& out);
  Unit* find(const UnitShare& share);

  std::map<std::string, List> lists_;
};

/// How a task is told: REEVE_GPU=0,1 for `gpu`, and CUDA_VISIBLE_DEVICES too. Names in capitals,
/// what is neither letter nor digit as `_`; a name that is there already stays.
void tell_units(const std::vector<UnitShare>& units, std::map<std::string, std::string>& env);

} // namespace reeve::worker
