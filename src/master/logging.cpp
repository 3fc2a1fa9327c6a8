// See logging.hpp.
#include "src/master/logging.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace reeve::master {
namespace {

class JsonFormatter : public spdlog::formatter {
public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto us =
      std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch())
        .count();
    const auto level = spdlog::level::to_string_view(message.level);
    const nlohmann::json line{
      {"time_us", us},
      {"level", std::string(level.data(), level.size())},
      {"text", std::string(message.payload.data(), message.payload.size())}};
    const std::string text =
      line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

LogOptions opened;
std::shared_ptr<spdlog::sinks::dist_sink_mt> outlet; // its sinks can be changed while others log

spdlog::sink_ptr make_sink(const LogOptions& options) {
  spdlog::sink_ptr sink;
  if (options.file.empty())
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  else
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
  if (options.format == "json")
    sink->set_formatter(std::make_unique<JsonFormatter>());
  else
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  return sink;
}

} // namespace

Result<void> open_log(const LogOptions& options) {
  try {
    opened = options;
    outlet = std::make_shared<spdlog::sinks::dist_sink_mt>();
    outlet->set_sinks({make_sink(options)});
    auto logger = std::make_shared<spdlog::logger>("reeved", outlet);
    logger->set_level(spdlog::level::from_str(options.level));
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
    return {};
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Code::io, "--log-file", error.what());
  }
}

void reopen_log() {
  if (opened.file.empty() || outlet == nullptr)
    return;
  try {
    outlet->set_sinks({make_sink(opened)});
    spdlog::info("log opened anew");
  } catch (const spdlog::spdlog_ex& error) {
    spdlog::error("log: cannot open anew, the old file is used on: {}", error.what());
  }
}

} // namespace reeve::master
