// Memory for the large tables: a million flights or the rows of ten thousand nodes are asked for in
// no order, and in pages of 4 KiB each question walks through the page tables, too. Used by
// Flights, Jobs, Nodes and Ranked. Small tables lie where they always did.
#pragma once

#include "src/util/memory.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace reeve::sched {

/// What lies there will be asked for soon. To the compiler a prefetch alone is nothing: it leaves
/// out calls of functions that do no more.
inline void fetch(const void* at) {
  __builtin_prefetch(at);
  asm volatile("");
}

/// For std::vector: what would fill a huge page lies in such.
template<class T> struct Huge {
  using value_type = T;
  Huge() = default;
  template<class U> Huge(const Huge<U>&) {}
  T* allocate(std::size_t n) {
    const bool large = n * sizeof(T) >= huge_page / 8 * 7; // the rest of the last is lost
    const std::size_t unit = large ? huge_page : std::max(alignof(T), alignof(std::max_align_t));
    const std::size_t bytes = (n * sizeof(T) + unit - 1) / unit * unit;
    void* memory = std::aligned_alloc(unit, bytes);
    if (!memory)
      throw std::bad_alloc();
    if (large)
      wish_huge_pages(memory, bytes);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
  bool operator==(const Huge&) const = default;
};
template<class T> using HugeVector = std::vector<T, Huge<T>>;

/// Things by number that never move. A number given back is the next to be used.
template<class T> class Store {
public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  T& operator[](std::uint32_t id) { return pages_[id / page][id % page]; }
  const T& operator[](std::uint32_t id) const { return pages_[id / page][id % page]; }
  std::uint32_t add() {
    if (!free_.empty()) {
      const std::uint32_t id = free_.back();
      free_.pop_back();
      return id;
    }
    if (used_ % page == 0) {
      pages_.emplace_back();
      pages_.back().reserve(page);
    }
    pages_.back().emplace_back();
    return used_++;
  }
  /// What will be added next lies anywhere.
  void prefetch_next() const {
    if (!free_.empty())
      fetch(&(*this)[free_.back()]);
  }
  void give_back(std::uint32_t id) {
    (*this)[id] = T();
    free_.push_back(id);
  }
  /// All numbers are below; some below may be free.
  [[nodiscard]] std::uint32_t end() const { return used_; }

private:
  static constexpr std::uint32_t page = huge_page / sizeof(T);
  std::vector<HugeVector<T>> pages_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
};

/// Few things by number that never move either, each where it likes. A std::deque would reckon
/// longer to find one.
template<class T> class Fixed {
public:
  T& operator[](std::size_t i) { return *all_[i]; }
  const T& operator[](std::size_t i) const { return *all_[i]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  template<class... Args> T& add(Args&&... args) {
    return *all_.emplace_back(std::make_unique<T>(std::forward<Args>(args)...));
  }
  void clear() { all_.clear(); }
  template<class F> void each(F&& f) {
    for (const auto& one : all_)
      f(*one);
  }
  /// Some are so.
  template<class F> [[nodiscard]] bool any(F&& f) const {
    return std::ranges::any_of(all_, [&f](const auto& one) { return f(std::as_const(*one)); });
  }

private:
  std::vector<std::unique_ptr<T>> all_;
};

} // namespace reeve::sched
