// See log.hpp. Exceptions of spdlog end here.
#include "src/log/log.hpp"

#include "src/util/json.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace reeve::log {
namespace {

thread_local const Fields* fields_now = nullptr; // of the line being written, by this thread

class TextFormatter : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    line_.format(message, out);
    const auto put = [&out](std::string_view text) {
      out.append(text.data(), text.data() + text.size());
    };
    if (fields_now != nullptr)
      for (const auto& [name, value] : *fields_now) {
        if (value.empty())
          continue;
        put(" ");
        put(name);
        put("=");
        put(printable(value));
      }
    put("\n");
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<TextFormatter>();
  }

private:
  spdlog::pattern_formatter line_{"%Y-%m-%dT%H:%M:%S.%e%z %l %v", spdlog::pattern_time_type::local,
                                  ""};
};

class JsonFormatter : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch())
        .count();
    const auto level = spdlog::level::to_string_view(message.level);
    Json line{{"time_us", us},
              {"level", std::string(level.data(), level.size())},
              {"program", std::string(message.logger_name.data(), message.logger_name.size())},
              {"text", std::string(message.payload.data(), message.payload.size())}};
    if (fields_now != nullptr)
      for (const auto& [name, value] : *fields_now)
        if (!value.empty())
          line[std::string(name)] = value;
    const std::string text = dump_json(line) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

Options opened;
std::shared_ptr<spdlog::sinks::dist_sink_mt> outlet; // its sinks can be changed while others log

spdlog::sink_ptr make_sink(const Options& options) {
  spdlog::sink_ptr sink;
  if (options.file.empty())
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else if (options.file_bytes == 0)
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
  else
    sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.file, options.file_bytes,
                                                                  options.files - 1);
  if (options.format == "json")
    sink->set_formatter(std::make_unique<JsonFormatter>());
  else
    sink->set_formatter(std::make_unique<TextFormatter>());
  return sink;
}

std::optional<spdlog::level::level_enum> level_of(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 7> levels{
    {{"trace", spdlog::level::trace},
     {"debug", spdlog::level::debug},
     {"info", spdlog::level::info},
     {"warn", spdlog::level::warn},
     {"warning", spdlog::level::warn},
     {"error", spdlog::level::err},
     {"off", spdlog::level::off}}};
  const auto at =
    std::find_if(levels.begin(), levels.end(), [&](const auto& l) { return l.first == name; });
  return at == levels.end() ? std::nullopt : std::optional(at->second);
}

tl::unexpected<Error> no_such_level(const std::string& field, std::string_view level) {
  return fail(Code::bad_field, field,
              "must be one of trace, debug, info, warn, error, off, got '" +
                printable(level.substr(0, 64)) + "'");
}

} // namespace

Result<void> open(const Options& options) {
  const auto level = level_of(options.level);
  if (!level)
    return no_such_level("--log-level", options.level);
  if (options.format != "text" && options.format != "json")
    return fail(Code::bad_field, "--log-format",
                "must be text or json, got '" + printable(options.format.substr(0, 64)) + "'");
  if (options.files < 1 || options.files > 1'000)
    return fail(Code::bad_field, "--log-files", "must be from 1 to 1000");
  try {
    auto outlet_new = std::make_shared<spdlog::sinks::dist_sink_mt>();
    outlet_new->set_sinks({make_sink(options)});
    auto logger = std::make_shared<spdlog::logger>(options.program, outlet_new);
    logger->set_level(*level);
    logger->flush_on(spdlog::level::trace); // whoever follows it sees a line when it is written
    spdlog::set_default_logger(std::move(logger));
    opened = options;
    outlet = std::move(outlet_new);
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Code::io, "--log-file", error.what());
  }
}

void reopen() {
  if (opened.file.empty() || outlet == nullptr)
    return;
  try {
    outlet->set_sinks({make_sink(opened)});
    spdlog::info("log opened anew");
  } catch (const spdlog::spdlog_ex& error) {
    spdlog::error("log: cannot open anew, the old file is used on: {}", error.what());
  }
}

Result<void> set_level(std::string_view name) {
  const auto level = level_of(name);
  if (!level)
    return no_such_level("level", name);
  spdlog::default_logger_raw()->set_level(*level);
  return {};
}

bool wanted(spdlog::level::level_enum level) {
  return spdlog::default_logger_raw()->should_log(level);
}

void say(spdlog::level::level_enum level, std::string_view text, const Fields& fields) {
  fields_now = &fields;
  spdlog::log(level, "{}", std::string(text));
  fields_now = nullptr;
}

} // namespace reeve::log
