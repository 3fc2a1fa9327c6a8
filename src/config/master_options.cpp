// See master_options.hpp. Exceptions of CLI11 and toml++ end here.
#include "src/config/master_options.hpp"

#include "src/util/text.hpp"
#include "src/util/toml.hpp"
#include "src/version.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace reeve::config {
namespace {

constexpr const char* examples = R"(Example: a master of your own, on ports that the system picks
  reeved --state /tmp/reeve --listen 'tcp://127.0.0.1:*' --events 'tcp://127.0.0.1:*'

Every flag but --config may also stand in the TOML file, under its name without the dashes:
  listen = "tcp://0.0.0.0:7117"
  state = "/var/lib/reeve"
  [settings]
  retention.jobs = "2h")";

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "master";
}

std::string default_state() {
  if (::geteuid() == 0)
    return "/var/lib/reeve";
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && *xdg != 0)
    return std::string(xdg) + "/reeve";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.local/state/reeve";
}

Result<void> set_setting(const std::string& text, MasterOptions& options) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Code::bad_field, "--set", "must be name=value, got '" + text + "'");
  options.settings[text.substr(0, equals)] = text.substr(equals + 1);
  return {};
}

Result<void> check(const MasterOptions& options) {
  const auto one_of = [](const char* field, const std::string& value,
                         std::initializer_list<const char*> allowed) -> Result<void> {
    std::string names;
    for (const char* name : allowed) {
      if (value == name)
        return {};
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    return fail(Code::bad_field, field, "must be one of " + names + ", got '" + value + "'");
  };
  if (!options.shared())
    if (auto good = one_of("--journal", options.journal, {"sqlite", "memory", "etcd://…"}); !good)
      return good;
  if (options.etcd_cert.empty() != options.etcd_key.empty())
    return fail(Code::bad_field, options.etcd_cert.empty() ? "--etcd-cert" : "--etcd-key",
                "a certificate and its key go together");
  if (options.etcd_ca.empty() && !options.etcd_cert.empty())
    return fail(Code::bad_field, "--etcd-ca", "is needed with --etcd-cert");
  if (auto good = one_of("--log-format", options.log_format, {"text", "json"}); !good)
    return good;
  if (auto good = one_of("--log-level", options.log_level,
                         {"trace", "debug", "info", "warn", "error", "off"});
      !good)
    return good;
  if (auto good = one_of("--history", options.history, {"sqlite", "none"}); !good)
    return good;
  if (auto size = parse_size(options.log_size, "--log-size"); !size)
    return tl::unexpected(size.error());
  if (!options.memory_max.empty())
    if (auto size = parse_size(options.memory_max, "--memory-max"); !size)
      return tl::unexpected(size.error());
  if (options.log_files < 1 || options.log_files > 1'000)
    return fail(Code::bad_field, "--log-files", "must be from 1 to 1000");
  if (options.listen.empty())
    return fail(Code::bad_field, "--listen", "must not be empty");
  if (options.cluster.empty() || options.name.empty() || options.state.empty())
    return fail(Code::bad_field,
                options.cluster.empty() ? "--cluster"
                : options.name.empty()  ? "--name"
                                        : "--state",
                "must not be empty");
  return {};
}

/// "retention.jobs" from nested tables, each value as the text that `--set` would take.
Result<void> flatten(const toml::table& table, const std::string& prefix, const std::string& where,
                     std::map<std::string, std::string>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      if (auto good = flatten(*inner, name + ".", where, out); !good)
        return good;
    } else if (const auto text = node.value<std::string>(); text && node.is_string()) {
      out[name] = *text;
    } else if (const auto flag = node.value<bool>(); flag && node.is_boolean()) {
      out[name] = *flag ? "true" : "false";
    } else if (const auto whole = node.value<std::int64_t>(); whole && node.is_integer()) {
      out[name] = std::to_string(*whole);
    } else if (const auto real = node.value<double>(); real && node.is_floating_point()) {
      std::ostringstream value;
      value << *real;
      out[name] = value.str();
    } else {
      return fail(Code::bad_field, "settings." + name,
                  where + ": must be a string, number or boolean");
    }
  }
  return {};
}

} // namespace

Result<void> read_master_file(const std::string& path, MasterOptions& options) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file && !file.eof())
    return fail(Code::bad_field, "--config", path + ": cannot be read");
  return read_master_text(text, path, options);
}

Result<void> read_master_text(std::string_view bytes, const std::string& path,
                              MasterOptions& options) {
  toml::table table;
  try {
    table = toml::parse(bytes);
  } catch (const toml::parse_error& error) {
    std::string where = path;
    if (error.source().begin.line > 0)
      where += ":" + std::to_string(error.source().begin.line);
    return fail(Code::bad_field, "--config", where + ": " + std::string(error.description()));
  } catch (const std::exception& error) {
    return fail(Code::bad_field, "--config", path + ": not TOML: " + error.what());
  }
  const std::map<std::string, std::string*> texts{{"listen", &options.listen},
                                                  {"events", &options.events},
                                                  {"state", &options.state},
                                                  {"cluster", &options.cluster},
                                                  {"name", &options.name},
                                                  {"journal", &options.journal},
                                                  {"advertise", &options.advertise},
                                                  {"etcd-ca", &options.etcd_ca},
                                                  {"etcd-cert", &options.etcd_cert},
                                                  {"etcd-key", &options.etcd_key},
                                                  {"history", &options.history},
                                                  {"log-size", &options.log_size},
                                                  {"memory-max", &options.memory_max},
                                                  {"log-level", &options.log_level},
                                                  {"log-file", &options.log_file},
                                                  {"log-format", &options.log_format}};
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const std::string where = path + ":" + std::to_string(node.source().begin.line);
    if (const auto text = texts.find(name); text != texts.end()) {
      if (!node.is_string())
        return fail(Code::bad_field, name, where + ": must be a string");
      *text->second = *node.value<std::string>();
    } else if (name == "journal-max-bytes") {
      const auto number = node.value<std::int64_t>();
      if (!number || !node.is_integer() || *number < 0)
        return fail(Code::bad_field, name, where + ": must be a whole number, 0 or more");
      options.journal_max_bytes = static_cast<std::uint64_t>(*number);
    } else if (name == "log-files") {
      const auto number = node.value<std::int64_t>();
      if (!number || !node.is_integer() || *number < 1 || *number > 1'000)
        return fail(Code::bad_field, name, where + ": must be a whole number from 1 to 1000");
      options.log_files = static_cast<std::uint32_t>(*number);
    } else if (name == "settings" && node.is_table()) {
      if (auto good = flatten(*node.as_table(), "", where, options.settings); !good)
        return good;
    } else {
      return fail(Code::bad_field, name, where + ": no such option");
    }
  }
  return {};
}

std::uint64_t memory_max_of(const MasterOptions& options) {
  if (!options.memory_max.empty())
    return static_cast<std::uint64_t>(parse_size(options.memory_max, "--memory-max").value_or(0));
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  return pages <= 0 || page <= 0
           ? 0
           : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) / 5 * 4;
}

Result<Parsed> parse_master(int argc, const char* const* argv) {
  MasterOptions given;
  std::string file;
  std::vector<std::string> settings;
  CLI::App app("reeved: the master of a reeve cluster", "reeved");
  app.footer(examples);
  app.set_version_flag("--version", "reeved " + std::string(version));
  std::map<std::string, std::pair<CLI::Option*, std::string MasterOptions::*>> flags;
  const auto text = [&](const char* flag, std::string MasterOptions::*member, const char* help) {
    flags[flag] = {app.add_option(flag, given.*member, help)->take_last(), member};
  };
  text("--listen", &MasterOptions::listen,
       "where agents and clients connect (default tcp://127.0.0.1:7117; port * picks one)");
  text("--events", &MasterOptions::events,
       "where operators read events (default tcp://127.0.0.1:7118; empty: nowhere)");
  text("--state", &MasterOptions::state,
       "folder of the journal and the history (default: /var/lib/reeve, or ~/.local/state/reeve)");
  text("--cluster", &MasterOptions::cluster, "name of the cluster (default reeve)");
  text("--name", &MasterOptions::name, "name of this master (default: the host's name)");
  text("--journal", &MasterOptions::journal,
       "sqlite; memory: everything is forgotten at the end; or etcd://host:port,host:port/cluster: "
       "several masters share it, one leads (default sqlite)");
  text("--advertise", &MasterOptions::advertise,
       "where other masters and clients reach this one, with etcd (default: where it listens)");
  text("--etcd-ca", &MasterOptions::etcd_ca, "TLS to etcd: the authority's certificate, PEM");
  text("--etcd-cert", &MasterOptions::etcd_cert, "TLS to etcd: this master's certificate, PEM");
  text("--etcd-key", &MasterOptions::etcd_key, "TLS to etcd: this master's key, PEM");
  auto* max_bytes =
    app.add_option("--journal-max-bytes", given.journal_max_bytes,
                   "refuse work when the journal would grow beyond this (default: no limit; with "
                   "etcd, at three quarters of it: etcd's quota, default 8 GiB)");
  app.add_option("--set", settings, "a run-time setting, name=value; may be repeated")
    ->expected(1)
    ->take_all();
  app.add_option("--config", file, "a TOML file with any of these options");
  text("--log-level", &MasterOptions::log_level,
       "trace, debug, info, warn, error or off (default info)");
  text("--log-file", &MasterOptions::log_file,
       "write the log here instead of to stderr; SIGHUP opens it anew");
  text("--log-format", &MasterOptions::log_format, "text or json (default text)");
  text("--log-size", &MasterOptions::log_size,
       "a log file that would grow beyond this is put aside (default 10MiB; 0: never)");
  CLI::Option* log_files = app.add_option("--log-files", given.log_files,
                                          "so many log files are kept, the one being written "
                                          "included (default 10)");
  text("--memory-max", &MasterOptions::memory_max,
       "beyond so much memory no jobs are taken until others have ended (default: 80 % of the "
       "machine's; 0: no limit)");
  text("--history", &MasterOptions::history,
       "sqlite, or none: nothing is kept for questions about what was (default sqlite)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success&) { // --help, --version
    std::ostringstream out, err;
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& again) {
      app.exit(again, out, err);
    }
    return Parsed{{}, out.str()};
  } catch (const CLI::ParseError& error) {
    return fail(Code::bad_field, {}, error.what());
  }
  Parsed parsed;
  MasterOptions& options = parsed.options;
  if (!file.empty())
    if (auto good = read_master_file(file, options); !good)
      return tl::unexpected(good.error());
  for (const auto& [flag, entry] : flags)
    if (entry.first->count() > 0)
      options.*entry.second = given.*entry.second;
  if (max_bytes->count() > 0)
    options.journal_max_bytes = given.journal_max_bytes;
  if (log_files->count() > 0)
    options.log_files = given.log_files;
  for (const auto& setting : settings)
    if (auto good = set_setting(setting, options); !good)
      return tl::unexpected(good.error());
  if (options.state.empty())
    options.state = default_state();
  if (options.name.empty())
    options.name = host_name();
  if (auto good = check(options); !good)
    return tl::unexpected(good.error());
  return parsed;
}

} // namespace reeve::config
