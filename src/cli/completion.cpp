// `reeve completion bash|zsh|fish`: the tree of commands as a script that the shell reads.
#include "src/cli/completion.hpp"

#include "src/cli/commands.hpp"

#include <map>
#include <ostream>

namespace reeve::cli {
namespace {

/// Inside single quotes of a shell.
std::string single_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<Place::Word>& words) {
  std::string out;
  for (const auto& word : words)
    out += (out.empty() ? "" : " ") + word.name;
  return out;
}

std::string with_values(const std::vector<Place>& places) {
  std::string out;
  for (const auto& place : places)
    for (const auto& option : place.options)
      if (option.value && (" " + out + " ").find(" " + option.name + " ") == std::string::npos)
        out += (out.empty() ? "" : " ") + option.name;
  return out;
}

// Both scripts find the innermost command named so far and offer what stands in their table; what
// is not an option's or command's beginning is left to the shell: files.

std::string bash(const std::vector<Place>& places) {
  std::string out = "# bash completion of reeve; eval \"$(reeve completion bash)\"\n"
                    "_reeve() {\n"
                    "  local at=reeve word previous=${COMP_WORDS[COMP_CWORD-1]} skip= words=\n"
                    "  local current=${COMP_WORDS[COMP_CWORD]} values=" +
                    single_quoted(" " + with_values(places) + " ") +
                    "\n"
                    "  local -A next=(\n";
  for (const auto& place : places)
    out += "    [" + single_quoted(place.path) + "]=" +
           single_quoted(joined(place.commands) + (place.commands.empty() ? "" : " ") +
                         joined(place.options)) +
           "\n";
  out += R"(  )
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ -n $skip ]]; then skip=; continue; fi
    [[ $word == -- ]] && return
    if [[ $word == -* ]]; then [[ $values == *" $word "* ]] && skip=1; continue; fi
    [[ -n ${next["$at $word"]+x} ]] && at="$at $word"
  done
  case $previous in
  -o | --output) words='table wide json jsonl quiet' ;;
  *) [[ -n $skip ]] && return
     words=${next[$at]}
     [[ $current != -* ]] && words=$(printf '%s\n' $words | grep -v '^-')
     [[ $current == -* ]] && words=$(printf '%s\n' $words | grep '^-') ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _reeve reeve
)";
  return out;
}

std::string zsh(const std::vector<Place>& places) {
  const auto entries = [](const std::vector<Place::Word>& words) {
    std::string out;
    for (const auto& word : words) {
      std::string about;
      for (const char c : word.about)
        about += c == ':' ? std::string("\\:") : std::string(1, c);
      out += " " + single_quoted(word.name + ":" + about);
    }
    return out;
  };
  std::string out = "#compdef reeve\n"
                    "# zsh completion of reeve; a file named _reeve in a folder of $fpath\n"
                    "_reeve() {\n"
                    "  local at=reeve word skip= previous=${words[CURRENT-1]}\n"
                    "  local values=" +
                    single_quoted(" " + with_values(places) + " ") +
                    "\n"
                    "  local -a commands options\n"
                    "  local -A known=(";
  for (const auto& place : places)
    out += " " + single_quoted(place.path) + " 1";
  out += R"( )
  for word in ${words[2,CURRENT-1]}; do
    if [[ -n $skip ]]; then skip=; continue; fi
    if [[ $word == -- ]]; then _files; return; fi
    if [[ $word == -* ]]; then [[ $values == *" $word "* ]] && skip=1; continue; fi
    [[ -n ${known[$at $word]} ]] && at="$at $word"
  done
  case $previous in
  -o | --output) compadd table wide json jsonl quiet; return ;;
  esac
  if [[ -n $skip ]]; then _files; return; fi
  case $at in
)";
  for (const auto& place : places)
    out += "  " + single_quoted(place.path) + ") commands=(" + entries(place.commands) +
           " ) options=(" + entries(place.options) + " ) ;;\n";
  out += R"(  esac
  if [[ $PREFIX == -* ]]; then _describe option options
  elif (( $#commands )); then _describe command commands
  else _files; fi
}
if [[ $funcstack[1] == _reeve ]]; then _reeve "$@"; else compdef _reeve reeve; fi
)";
  return out;
}

std::string fish(const std::vector<Place>& places) {
  std::string out = "# fish completion of reeve; reeve completion fish | source\n"
                    "complete -c reeve -e\n";
  for (const auto& place : places) {
    // "reeve job list": both words have been seen, and none of the commands that may follow.
    std::string condition;
    std::string rest = place.path.substr(std::string("reeve").size());
    std::size_t begin = 0;
    while (begin < rest.size()) {
      const std::size_t end = rest.find(' ', begin + 1);
      condition += (condition.empty() ? "" : "; and ") +
                   std::string("__fish_seen_subcommand_from") + rest.substr(begin, end - begin);
      begin = end == std::string::npos ? rest.size() : end;
    }
    std::string none = condition;
    if (!place.commands.empty())
      none += (none.empty() ? "" : "; and ") + std::string("not __fish_seen_subcommand_from ") +
              joined(place.commands);
    for (const auto& command : place.commands)
      out += "complete -c reeve -f -n " + single_quoted(none) + " -a " + command.name + " -d " +
             single_quoted(command.about) + "\n";
    for (const auto& option : place.options) {
      if (!place.commands.empty() && place.path != "reeve")
        continue; // a noun's only option is --help
      const bool is_long = option.name.rfind("--", 0) == 0;
      out += "complete -c reeve" + (none.empty() ? std::string() : " -n " + single_quoted(none)) +
             (is_long ? " -l " : " -s ") + option.name.substr(is_long ? 2 : 1) +
             (option.value ? " -r" : "") +
             (option.name == "--output" ? " -f -a 'table wide json jsonl quiet'" : "") + " -d " +
             single_quoted(option.about) + "\n";
    }
  }
  return out;
}

} // namespace

std::string completion_script(const std::vector<Place>& places, Shell shell) {
  switch (shell) {
  case Shell::zsh:
    return zsh(places);
  case Shell::fish:
    return fish(places);
  default:
    return bash(places);
  }
}

void add_completion(Command root, Session& session, const CommandTree& tree) {
  auto shell = std::make_shared<std::string>();
  root
    .verb("completion", "Prints what makes a shell complete reeve's commands",
          "eval \"$(reeve completion bash)\"",
          [&session, &tree, shell] {
            static const std::map<std::string, Shell> shells{
              {"bash", Shell::bash}, {"zsh", Shell::zsh}, {"fish", Shell::fish}};
            const auto at = shells.find(*shell);
            if (at == shells.end())
              return session.usage(
                Error{Code::bad_field, "SHELL", "must be bash, zsh or fish, got '" + *shell + "'"});
            session.terminal.out << completion_script(tree.places(), at->second);
            return Exit::good;
          })
    .word("SHELL", *shell, "bash, zsh or fish", Command::Need::needed);
}

} // namespace reeve::cli
