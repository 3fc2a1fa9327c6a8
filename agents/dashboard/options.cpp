// See options.hpp.
#include "agents/dashboard/options.hpp"

#include "src/util/text.hpp"
#include "src/version.hpp"

#include <CLI/CLI.hpp>
#include <sstream>

namespace reeve::dashboard {

Result<std::pair<std::string, int>> parse_listen(const std::string& text) {
  const auto colon = text.rfind(':');
  std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  if (host.empty())
    return fail(Code::bad_field, "--listen", "must be HOST:PORT, got '" + text + "'");
  const std::string port = text.substr(colon + 1);
  if (port == "*")
    return std::pair{host, 0};
  const auto number = parse_integer(port, "--listen", 1, 65'535);
  if (!number)
    return tl::unexpected<Error>(number.error());
  return std::pair{host, static_cast<int>(*number)};
}

Result<Parsed> parse_options(int argc, const char* const* argv,
                             const std::string& master_from_env) {
  Parsed parsed;
  Options& o = parsed.options;
  o.log.program = "reeve-dashboard";
  std::string log_size = "10MiB";
  o.master = master_from_env.empty() ? "tcp://127.0.0.1:7117" : master_from_env;
  CLI::App app("reeve-dashboard: a web page and metrics of a reeve cluster", "reeve-dashboard");
  app.footer("Example:\n  reeve-dashboard --master tcp://127.0.0.1:7117 --listen 127.0.0.1:7180\n"
             "Then open http://127.0.0.1:7180 and let Prometheus scrape /metrics there.");
  app.set_version_flag("--version", "reeve-dashboard " + std::string(version));
  app.add_option("-m,--master", o.master,
                 "endpoints of the masters, comma separated (default $REEVE_MASTER, else "
                 "tcp://127.0.0.1:7117)");
  app.add_option(
    "--listen", o.listen,
    "HOST:PORT for browsers and Prometheus (default 127.0.0.1:7180; port * picks one)");
  app
    .add_option(
      "--host", o.hosts,
      "a further name in the browser's address line, such as that of a proxy before this; "
      "may be repeated")
    ->expected(1)
    ->take_all();
  app.add_flag("--read-only", o.read_only, "nothing can be cancelled, retried or drained");
  app
    .add_option("--rate", o.requests_per_second,
                "requests a second of one address (default 50; bursts of ten times as many)")
    ->check(CLI::Range(1, 1'000'000));
  app
    .add_option("--connections", o.connections,
                "connections at once (default 64); half of them may be live pages")
    ->check(CLI::Range(4, 10'000));
  app
    .add_option("--log-level", o.log.level,
                "trace, debug, info, warn, error or off (default info); SIGUSR1 makes it debug, "
                "SIGUSR2 what it was")
    ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_option("--log-file", o.log.file,
                 "write the log here instead of to stderr; SIGHUP opens it anew");
  app.add_option("--log-format", o.log.format, "text or json (default text)")
    ->check(CLI::IsMember({"text", "json"}));
  app.add_option("--log-size", log_size,
                 "a log file that would grow beyond this is put aside (default 10MiB; 0: never)");
  app.add_option("--log-files", o.log.files,
                 "so many log files are kept, the one being written included (default 10)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0)
      return fail(Code::bad_field, {}, error.what());
    std::ostringstream out, err; // --help, --version
    app.exit(error, out, err);
    parsed.print = out.str();
    return parsed;
  }
  const auto size = parse_size(log_size, "--log-size");
  if (!size)
    return tl::unexpected<Error>(size.error());
  o.log.file_bytes = static_cast<std::uint64_t>(*size);
  if (auto listen = parse_listen(o.listen); !listen)
    return tl::unexpected<Error>(listen.error());
  return parsed;
}

} // namespace reeve::dashboard
