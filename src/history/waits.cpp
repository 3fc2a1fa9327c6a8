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
constexpr std::size_t fresh_max = 4'096, dense_min = 256;
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
  if (times == 1) {
    fresh_.push_back(class_of(us));
    if (fresh_.size() >= fresh_max)
      count();
    return;
  }
  Waits one;
  one.classes_.emplace_back(class_of(us), times);
  add(one);
}

void Waits::add(const Waits& other) {
  fresh_.insert(fresh_.end(), other.fresh_.begin(), other.fresh_.end());
  if (fresh_.size() >= fresh_max)
    count();
  if (other.classes_.empty())
    return;
  std::vector<Class> sum;
  sum.reserve(classes_.size() + other.classes_.size());
  auto a = classes_.begin();
  for (const Class& b : other.classes_) {
    for (; a != classes_.end() && a->first < b.first; ++a)
      sum.push_back(*a);
    Class both = b;
    if (a != classes_.end() && a->first == b.first)
      both.second += (a++)->second;
    if (both.second != 0)
      sum.push_back(both);
  }
  sum.insert(sum.end(), a, classes_.end());
  classes_ = std::move(sum);
}

void Waits::count() {
  if (fresh_.empty())
    return;
  Waits sum;
  if (fresh_.size() >= dense_min) { // looks at each class, but sorts nothing
    static const std::uint32_t classes_max = class_of(std::numeric_limits<std::int64_t>::max()) + 1;
    std::vector<std::uint32_t> times(classes_max);
    for (const std::uint32_t number : fresh_)
      ++times[number];
    for (std::uint32_t number = 0; number < classes_max; ++number)
      if (times[number] != 0)
        sum.classes_.emplace_back(number, times[number]);
  } else {
    std::sort(fresh_.begin(), fresh_.end());
    for (const std::uint32_t number : fresh_)
      if (!sum.classes_.empty() && sum.classes_.back().first == number)
        ++sum.classes_.back().second;
      else
        sum.classes_.emplace_back(number, 1);
  }
  fresh_.clear();
  add(sum);
}

std::vector<Waits::Class> Waits::counted() const {
  if (fresh_.empty())
    return classes_;
  Waits copy = *this;
  copy.count();
  return std::move(copy.classes_);
}

std::int64_t Waits::percentile(int percent) const {
  const auto classes = counted();
  std::int64_t all = 0;
  for (const auto& [number, times] : classes)
    all += times;
  std::int64_t rank = std::max<std::int64_t>(1, (all * percent + 99) / 100);
  for (const auto& [number, times] : classes)
    if (rank -= times; rank <= 0)
      return bound_of(number);
  return 0;
}

std::string Waits::encode() const {
  std::string out;
  std::uint32_t before = 0;
  for (const auto& [number, times] : counted()) {
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
    const std::int64_t n = std::clamp(unzigzag(times), -times_max, times_max);
    if (n == 0)
      continue;
    if (!out.classes_.empty() && out.classes_.back().first == number)
      out.classes_.back().second = n;
    else
      out.classes_.emplace_back(static_cast<std::uint32_t>(number), n);
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
