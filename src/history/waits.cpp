// See waits.hpp. SQLite calls the functions at the end: no exception may leave them.
#include "src/history/waits.hpp"

#include "src/history/varint.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <new>

namespace reeve::history {
namespace {

constexpr std::int64_t times_max = std::int64_t{1} << 40; // of a class: sums never overflow
constexpr unsigned bits = 5; // 32 classes for each power of two; below 64 us each has its own

std::uint32_t class_of(std::int64_t us) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0));
  const auto width = static_cast<unsigned>(std::bit_width(value));
  const unsigned shift = width > bits + 1 ? width - bits - 1 : 0;
  return (shift << bits) + static_cast<std::uint32_t>(value >> shift);
}
/// The longest wait of a class.
std::int64_t bound_of(std::uint32_t number) {
  if (number < 2U << bits)
    return number;
  const unsigned shift = std::min((number >> bits) - 1, 62 - bits);
  const std::uint64_t top = number - (shift << bits);
  return static_cast<std::int64_t>(((top + 1) << shift) - 1);
}

} // namespace

void Waits::add(std::int64_t us, std::int64_t times) {
  const auto at = classes_.try_emplace(class_of(us), 0).first;
  at->second += times;
  if (at->second == 0)
    classes_.erase(at);
}

void Waits::add(const Waits& other) {
  auto hint = classes_.begin();
  for (const auto& [number, times] : other.classes_) {
    hint = classes_.try_emplace(hint, number, 0);
    hint->second += times;
    hint = hint->second == 0 ? classes_.erase(hint) : std::next(hint);
  }
}

std::int64_t Waits::percentile(int percent) const {
  std::int64_t all = 0;
  for (const auto& [number, times] : classes_)
    all += times;
  std::int64_t rank = std::max<std::int64_t>(1, (all * percent + 99) / 100);
  for (const auto& [number, times] : classes_)
    if (rank -= times; rank <= 0)
      return bound_of(number);
  return 0;
}

std::string Waits::encode() const {
  std::string out;
  std::uint32_t before = 0;
  for (const auto& [number, times] : classes_) {
    put_varint(out, number - before);
    put_varint(out, zigzag(times));
    before = number;
  }
  return out;
}

Waits Waits::decode(std::string_view bytes) {
  Waits out;
  std::uint64_t step = 0, times = 0, number = 0;
  while (take_varint(bytes, step) && take_varint(bytes, times)) {
    number += step;
    if (number > class_of(std::numeric_limits<std::int64_t>::max()))
      break;
    if (times != 0)
      out.classes_.insert_or_assign(out.classes_.end(), static_cast<std::uint32_t>(number),
                                    std::clamp(unzigzag(times), -times_max, times_max));
  }
  return out;
}

namespace {

struct Gathered {
  Waits* waits = nullptr; // SQLite gives zeroed memory and runs no destructor
};

void gather(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto* to = static_cast<Gathered*>(sqlite3_aggregate_context(context, sizeof(Gathered)));
  if (to == nullptr)
    return sqlite3_result_error_nomem(context);
  if (sqlite3_value_type(arguments[0]) == SQLITE_NULL)
    return;
  try {
    if (to->waits == nullptr)
      to->waits = new Waits;
    to->waits->add(sqlite3_value_int64(arguments[0]));
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

void give(sqlite3_context* context, const Waits& sum) {
  const std::string bytes = sum.encode();
  sqlite3_result_blob64(context, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
}

void finish(sqlite3_context* context) {
  auto* from = static_cast<Gathered*>(sqlite3_aggregate_context(context, 0));
  if (from == nullptr || from->waits == nullptr)
    return sqlite3_result_null(context);
  try {
    give(context, *from->waits);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
  delete from->waits;
  from->waits = nullptr;
}

void add(sqlite3_context* context, int, sqlite3_value** arguments) {
  try {
    const auto waits_in = [](sqlite3_value* value) {
      const auto* data = static_cast<const char*>(sqlite3_value_blob(value));
      return data ? Waits::decode({data, static_cast<std::size_t>(sqlite3_value_bytes(value))})
                  : Waits();
    };
    Waits sum = waits_in(arguments[0]);
    sum.add(waits_in(arguments[1]));
    give(context, sum);
  } catch (const std::bad_alloc&) {
    sqlite3_result_error_nomem(context);
  }
}

} // namespace

Result<void> add_waits_functions(sqlite::Database& db) {
  constexpr int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
  if (sqlite3_create_function_v2(db.handle(), "waits_of", 1, flags, nullptr, nullptr, gather,
                                 finish, nullptr) != SQLITE_OK ||
      sqlite3_create_function_v2(db.handle(), "add_waits", 2, flags, nullptr, add, nullptr, nullptr,
                                 nullptr) != SQLITE_OK)
    return tl::unexpected<Error>(db.error(db.path()));
  return {};
}

} // namespace reeve::history
