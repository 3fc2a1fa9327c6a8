// See registry.hpp.
#include "src/deciders/registry.hpp"

#include <algorithm>

namespace reeve::deciders {
namespace {

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

Result<void> check_text(std::string_view text, std::size_t most, const std::string& field) {
  if (!is_printable(text))
    return fail(Code::bad_field, field, "must not contain control characters");
  if (text.size() > most)
    return fail(Code::bad_field, field,
                "must have at most " + std::to_string(most) + " bytes, got " +
                  std::to_string(text.size()));
  return {};
}

Result<void> check_labels(const std::map<std::string, std::string>& labels) {
  for (const auto& [name, value] : labels) {
    if (name.empty())
      return fail(Code::bad_field, "labels", "a label's name must not be empty");
    const std::string field = is_printable(name) ? "labels." + name.substr(0, 64) : "labels";
    if (auto good = check_text(name, 256, field); !good)
      return good;
    if (auto good = check_text(value, 256, field); !good)
      return good;
  }
  return {};
}

} // namespace

Duration heartbeat_interval(const Settings& settings, std::size_t nodes) {
  const auto stretched = Duration(static_cast<std::int64_t>(nodes) * 1'000'000 /
                                  std::max<std::int64_t>(settings.heartbeat_rate, 1));
  return std::max(settings.heartbeat_interval, stretched);
}

void Registry::reset(const core::Changes& changes) {
  *this = {};
  apply(changes);
}

void Registry::apply(const core::Changes& changes) {
  for (const auto& change : changes) {
    if (const auto* node = core::get_if<core::NodeChanged>(change)) {
      if (node->state == NodeState::up)
        up_.insert(node->node);
      else
        up_.erase(node->node);
    } else if (const auto* forgotten = std::get_if<core::NodeForgotten>(&change)) {
      up_.erase(forgotten->node);
    } else if (const auto* config = std::get_if<core::ConfigUpdated>(&change)) {
      config_ = config->values;
      settings_ = settings_from(config_);
    }
  }
}

Result<Duration> Registry::check(const RegisterNode& message) const {
  const auto refuse = [](Result<void> bad) {
    return tl::unexpected<Error>(std::move(bad).error());
  };
  if (auto good = check_text(message.name, 256, "name"); !good)
    return refuse(std::move(good));
  if (message.name.find_first_not_of(' ') == std::string::npos)
    return fail(Code::bad_field, "name", "must not be blank");
  if (auto good = validate(message.capacity, "capacity"); !good)
    return refuse(std::move(good));
  if (is_zero(message.capacity))
    return fail(Code::bad_field, "capacity", "must have at least one resource above 0");
  if (auto good = check_labels(message.labels); !good)
    return refuse(std::move(good));
  if (auto good = check_text(message.program, 256, "program"); !good)
    return refuse(std::move(good));
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < message.executors.size(); ++i) {
    const std::string field = "executors[" + std::to_string(i) + "]";
    if (message.executors[i].empty())
      return fail(Code::bad_field, field, "must not be empty");
    if (auto good = check_text(message.executors[i], 64, field); !good)
      return refuse(std::move(good));
    if (!seen.insert(message.executors[i]).second)
      return fail(Code::bad_field, field, "is given twice: " + message.executors[i]);
  }
  if (message.executors.empty())
    return fail(Code::bad_field, "executors", "name at least one");
  return heartbeat_interval(settings_, up_.size() + 1);
}

Result<void> Registry::check(const ActOnNodes& message) const {
  for (std::size_t i = 0; i < message.nodes.size(); ++i)
    if (message.nodes[i].empty())
      return fail(Code::bad_field, "nodes[" + std::to_string(i) + "]", "must not be empty");
  if (message.action == NodeAction::label && message.labels.empty())
    return fail(Code::bad_field, "labels", "give at least one label");
  if (message.action != NodeAction::label && !message.labels.empty())
    return fail(Code::bad_field, "labels", "belong to the action label only");
  if (message.deadline && message.action != NodeAction::drain)
    return fail(Code::bad_field, "deadline_us", "belongs to the action drain only");
  if (auto good = check_text(message.reason, 1024, "reason"); !good)
    return good;
  return check_labels(message.labels);
}

Result<void> Registry::check(const SetConfig& message) const {
  return check_settings(message.values, config_, "values.");
}

} // namespace reeve::deciders
