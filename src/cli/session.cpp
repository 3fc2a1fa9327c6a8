// Options, connection and output shared by all commands. See session.hpp.
#include "src/cli/session.hpp"

#include "src/util/text.hpp"

#include <ostream>

namespace reeve::cli {

std::string Session::endpoints() const {
  if (!master.empty())
    return master;
  const std::string from_env = terminal.env("REEVE_MASTER");
  return from_env.empty() ? "tcp://127.0.0.1:7117" : from_env;
}

Result<Client*> Session::client() {
  if (client_)
    return &*client_;
  ClientOptions options;
  options.name = "reeve " + terminal.user;
  options.interrupted = terminal.interrupted;
  if (timeout.count() > 0) {
    options.timeout = timeout;
    options.connect_timeout = std::min(options.connect_timeout, timeout);
  }
  auto connected = Client::connect(parse_endpoints(endpoints()), options);
  if (!connected)
    return tl::unexpected<Error>(connected.error());
  client_ = std::move(*connected);
  return &*client_;
}

bool Session::colours() const {
  return terminal.out_is_tty && terminal.env("NO_COLOR").empty();
}

Exit Session::tell(const Error& error, Exit exit) {
  if (human() || format == Format::quiet) {
    const bool red = terminal.err_is_tty && terminal.env("NO_COLOR").empty();
    terminal.err << painted("reeve:", Colour::red, red) << " " << printable(error.message())
                 << "\n";
    return exit;
  }
  Json body;
  body["code"] = std::string(name_of(error.code));
  body["field"] = error.field;
  body["text"] = error.text;
  body["exit"] = number_of(exit);
  terminal.err << dump_json(versioned(Json{{"error", body}})) << "\n";
  return exit;
}

Exit Session::fail(const Error& error) {
  if (terminal.interrupted()) {
    terminal.err << "reeve: interrupted\n";
    return Exit::interrupted;
  }
  // An endpoint that is not one was typed by the user, whoever finds out.
  if (error.code == Code::bad_field && error.field == "master")
    return usage(error);
  return tell(error, exit_for(error));
}

Exit Session::usage(const Error& error) {
  return tell(error, Exit::usage);
}

void Session::note(const std::string& text) {
  if (human())
    terminal.err << text << "\n";
}

void Session::show_list(const Json& whole, const std::string& list, const Table& table,
                        const std::vector<std::string>& quiet) {
  switch (format) {
  case Format::table:
  case Format::wide:
    terminal.out << table.text(colours());
    break;
  case Format::json:
    terminal.out << dump_json(versioned(whole), true) << "\n";
    break;
  case Format::jsonl:
    for (const Json& item : whole.at(list))
      terminal.out << dump_json(versioned(item)) << "\n";
    break;
  case Format::quiet:
    for (const std::string& line : quiet)
      terminal.out << line << "\n";
    break;
  }
}

void Session::show_properties(const Properties& properties) {
  std::size_t width = 0;
  for (const auto& [name, value] : properties)
    width = std::max(width, display_width(name));
  for (const auto& [name, value] : properties) {
    if (value.empty())
      continue;
    const std::string blanks(width - display_width(name) + 2, ' ');
    terminal.out << painted(name + ":", Colour::bold, colours()) << blanks << printable(value)
                 << "\n";
  }
}

void Session::show_object(const Json& whole, const Properties& properties,
                          const std::string& quiet) {
  if (human())
    show_properties(properties);
  else if (format == Format::quiet)
    terminal.out << quiet << "\n";
  else
    terminal.out << dump_json(versioned(whole), format == Format::json) << "\n";
}

void Session::show_things(const std::string& list, const std::vector<Thing>& things) {
  Json all = Json::array();
  bool first = true;
  for (const Thing& thing : things) {
    if (human()) {
      terminal.out << (first ? "" : "\n");
      show_properties(thing.properties);
    } else if (format == Format::quiet) {
      terminal.out << thing.quiet << "\n";
    } else if (format == Format::jsonl) {
      terminal.out << dump_json(versioned(thing.json)) << "\n";
    } else {
      all.push_back(thing.json);
    }
    first = false;
  }
  if (format == Format::json)
    terminal.out << dump_json(versioned(Json{{list, all}}), true) << "\n";
}

void Session::show_done(const Json& whole, const std::string& text) {
  if (human())
    terminal.out << printable(text) << "\n";
  else if (format != Format::quiet)
    terminal.out << dump_json(versioned(whole), format == Format::json) << "\n";
}

Json versioned(const Json& json) {
  Json out;
  out["v"] = 1;
  for (const auto& item : json.items())
    out[item.key()] = item.value();
  return out;
}

} // namespace reeve::cli
