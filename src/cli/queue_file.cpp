// See queue_file.hpp.
#include "src/cli/queue_file.hpp"

#include "src/sched/queue_settings.hpp"
#include "src/util/toml.hpp"

#include <algorithm>
#include <sstream>

namespace reeve::cli {
namespace {

bool names_a_setting(std::string_view name) {
  const auto& table = sched::queue_setting_table();
  return std::any_of(table.begin(), table.end(),
                     [&](const auto& info) { return info.name == name; });
}

/// Numbers and truth values as they are written, `{vcores = 4, gpu = 1}` as "vcores=4,gpu=1".
Result<std::string> setting_text(const toml::node& node, const std::string& field) {
  if (const auto* text = node.as_string())
    return text->get();
  if (const auto* table = node.as_table()) {
    std::string out;
    for (const auto& [key, value] : *table) {
      if (value.is_table())
        return fail(Code::bad_field, field, "must be a text, a number, true, false or a list");
      auto one = setting_text(value, field);
      if (!one)
        return one;
      out += (out.empty() ? "" : ",") + std::string(key.str()) + "=" + *one;
    }
    return out;
  }
  std::ostringstream out;
  if (const auto* number = node.as_integer())
    out << number->get();
  else if (const auto* real = node.as_floating_point())
    out << real->get();
  else if (const auto* flag = node.as_boolean())
    out << (flag->get() ? "true" : "false");
  else
    return fail(Code::bad_field, field, "must be a text, a number, true, false or a list");
  return out.str();
}

Result<void> read_queue(const toml::table& table, const std::string& name,
                        std::map<std::string, std::string>& out) {
  for (const auto& [key, value] : table) {
    const std::string inner(key.str());
    if (value.is_table() && (name.empty() || !names_a_setting(inner))) {
      if (auto good = read_queue(*value.as_table(), name.empty() ? inner : name + "." + inner, out);
          !good)
        return good;
      continue;
    }
    if (name.empty())
      return fail(Code::bad_field, inner,
                  "must be a queue: [" + inner + "] and its settings below");
    const std::string setting = "queue." + name + "." + inner;
    auto text = setting_text(value, setting);
    if (!text)
      return tl::unexpected<Error>(text.error());
    if (auto good = sched::check_queue_setting(setting, *text); !good)
      return good;
    out[setting] = std::move(*text);
  }
  return {};
}

} // namespace

Result<std::map<std::string, std::string>> parse_queue_file(const std::string& text) {
  std::map<std::string, std::string> out;
  try {
    const toml::table file = toml::parse(text);
    if (auto good = read_queue(file, "", out); !good)
      return tl::unexpected<Error>(good.error());
  } catch (const toml::parse_error& e) {
    return fail(Code::bad_field, "line " + std::to_string(e.source().begin.line),
                std::string(e.description()));
  } catch (const std::exception& e) {
    return fail(Code::bad_field, "", e.what());
  }
  if (out.empty())
    return fail(Code::bad_field, "", "no queue in it");
  return out;
}

} // namespace reeve::cli
