// What reeved is told when it starts: command line over TOML file over defaults. Used by src/master
// only. Run-time settings (`--set`) are passed on unchecked: their table is in src/deciders.
#pragma once

#include "messages/error.hpp"

#include <map>
#include <optional>
#include <string>

namespace reeve::config {

struct MasterOptions {
  std::string listen = "tcp://127.0.0.1:7117";
  std::string events = "tcp://127.0.0.1:7118";
  std::string state; // folder of journal.db and history.db
  std::string cluster = "reeve";
  std::string name;               // of this master; the host's name
  std::string journal = "sqlite"; // or memory, or etcd://host:port,…/cluster
  std::string advertise;          // where other masters reach this one; empty: where it listens
  std::string etcd_ca, etcd_cert, etcd_key; // PEM files; ca empty: no TLS to etcd
  std::uint64_t journal_max_bytes = 0;
  [[nodiscard]] bool shared() const { return journal.rfind("etcd://", 0) == 0; }
  std::map<std::string, std::string> settings; // `--set name=value`
  std::string log_level = "info", log_file, log_format = "text";
  std::string log_size = "10MiB"; // of one log file; 0: it is never put aside
  std::uint32_t log_files = 10;   // that are kept
  std::string memory_max; // beyond it no jobs are taken; empty: 80 % of the machine's; 0: any
  std::string history = "sqlite"; // or none
};

struct Parsed {
  MasterOptions options;
  std::optional<std::string> print; // --help, --version: print this and end well
};

/// In bytes; 0: no limit.
std::uint64_t memory_max_of(const MasterOptions& options);

/// Errors: bad_field, `field` naming the flag or the file's key.
Result<Parsed> parse_master(int argc, const char* const* argv);

/// The file's content over `options`: the same names as the flags, and a table [settings]. Errors:
/// bad_field, naming file, line and key.
Result<void> read_master_file(const std::string& path, MasterOptions& options);
/// The same of a text; `path` is only named in errors.
Result<void> read_master_text(std::string_view bytes, const std::string& path,
                              MasterOptions& options);

} // namespace reeve::config
