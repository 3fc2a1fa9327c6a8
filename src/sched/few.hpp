// A list that mostly holds one thing, kept where the list is; more of them are kept elsewhere. Used
// by flights and jobs, of which there are many. Knows nothing of what it holds, which must be
// plain.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace reeve::sched {

template<class T> class Few {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  [[nodiscard]] std::size_t size() const { return many_ ? many_->size() : one_there_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] const T* begin() const { return many_ ? many_->data() : &one_; }
  [[nodiscard]] const T* end() const { return begin() + size(); }
  [[nodiscard]] T* begin() { return many_ ? many_->data() : &one_; }
  [[nodiscard]] T* end() { return begin() + size(); }
  [[nodiscard]] std::span<const T> all() const { return {begin(), size()}; }
  T& operator[](std::size_t i) { return begin()[i]; }
  [[nodiscard]] T& back() { return end()[-1]; }
  void push_back(const T& t) {
    if (many_ || one_there_ != 0) {
      many().push_back(t);
      return;
    }
    one_ = t;
    one_there_ = 1;
  }
  void pop_back() {
    if (many_)
      many_->pop_back();
    else
      one_there_ = 0;
  }
  void pop_front() {
    if (many_)
      many_->erase(many_->begin());
    else
      one_there_ = 0;
  }
  void clear() {
    many_.reset();
    one_there_ = 0;
  }
  /// All of it as a vector, from now on.
  std::vector<T>& many() {
    if (!many_) {
      many_ = std::make_unique<std::vector<T>>();
      if (one_there_ != 0)
        many_->push_back(one_);
    }
    return *many_;
  }

private:
  std::unique_ptr<std::vector<T>> many_;
  T one_{};
  std::uint32_t one_there_ = 0; // or not; without many_
};

} // namespace reeve::sched
