// See type_table.hpp.
#include "tests/unit/messages/type_table.hpp"

#include "tests/unit/messages/all_types.hpp"
#include "tests/unit/messages/values.hpp"

namespace reeve::test {
namespace {
struct FieldLister {
  std::vector<FieldInfo>& out;
  template<class T, class M> void operator()(const char* name, M T::*, const FieldRule& rule = {}) {
    out.push_back(
      {name, rule.required, std::is_same_v<M, Raw> || std::is_same_v<M, std::vector<Raw>>});
  }
};
} // namespace

const std::vector<TypeInfo>& type_table() {
  static const std::vector<TypeInfo> table = [] {
    std::vector<TypeInfo> types;
    each_type([&]<class T>(std::type_identity<T>, const char* name) {
      TypeInfo& type = types.emplace_back();
      type.name = name;
      type.as_array = schema::is_array<T>();
      type.is_fact = std::is_constructible_v<Fact, T>;
      if constexpr (is_message<T>)
        type.message = static_cast<unsigned>(T::type);
      FieldLister lister{type.fields};
      T::fields(lister);
      type.defaults = [] { return encode(T{}); };
      type.sample = [] { return encode(test::sample<T>()); };
      type.random = [](Dice& dice) { return encode(random_value<T>(dice)); };
      type.again = [](std::string_view bytes) -> Result<std::string> {
        auto value = decode<T>(bytes);
        if (!value)
          return tl::unexpected<Error>(std::move(value).error());
        return encode(*value);
      };
    });
    return types;
  }();
  return table;
}

} // namespace reeve::test
