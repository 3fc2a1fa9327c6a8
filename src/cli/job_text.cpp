// Text about jobs. See job_text.hpp.
#include "src/cli/job_text.hpp"

#include "src/cli/names.hpp"
#include "src/cli/selector.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace reeve::cli {

Result<void> apply_array(JobSpec& spec, std::string_view text, std::string_view field) {
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const auto most = parse_integer(text.substr(percent + 1), field, 1, tasks_max);
    if (!most)
      return tl::unexpected<Error>(most.error());
    spec.max_parallel = static_cast<std::uint32_t>(*most);
  }
  if (text.find(',') != std::string_view::npos)
    return fail(Code::bad_field, std::string(field),
                "must be one range such as 0-9, 1-100:2 or 0-9%4; for a list use --each-line");
  auto spans = parse_spans(text.substr(0, percent), field, std::uint64_t{1} << 40U);
  if (!spans)
    return tl::unexpected<Error>(spans.error());
  const Span span = spans->front();
  if (span.size() > tasks_max)
    return fail(Code::bad_field, std::string(field),
                "has more than " + std::to_string(tasks_max) + " tasks");
  if (span.step > (std::uint64_t{1} << 30U))
    return fail(Code::bad_field, std::string(field), "the step is beyond 2^30");
  spec.count = static_cast<std::uint32_t>(span.size());
  spec.index_first = static_cast<std::int64_t>(span.first);
  spec.index_step = static_cast<std::int64_t>(span.step);
  return {};
}

Result<void> apply_lines(JobSpec& spec, std::string_view text, std::string_view field) {
  spec.items.clear();
  for (std::string& line : split(text, '\n')) {
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
    if (!trim(line).empty())
      spec.items.push_back(std::move(line));
  }
  if (spec.items.empty())
    return fail(Code::bad_field, std::string(field), "has no line that is not empty");
  if (spec.items.size() > 2'000'000)
    return fail(Code::bad_field, std::string(field),
                "size must be at most 2000000, got " + std::to_string(spec.items.size()));
  spec.count = static_cast<std::uint32_t>(spec.items.size());
  return {};
}

Result<void> apply_resource(JobSpec& spec, std::string_view text, std::string_view field) {
  const auto pair = parse_pair(text, field);
  if (!pair)
    return tl::unexpected<Error>(pair.error());
  const auto& [name, value] = *pair;
  const std::string where = std::string(field) + " " + name;
  const bool bytes = name == "memory" || name == "disk";
  const auto amount = bytes ? parse_size(value, where) : parse_milli(value, where);
  if (!amount)
    return tl::unexpected<Error>(amount.error());
  Resources& r = spec.resources;
  (name == "memory"   ? r.memory_bytes
   : name == "disk"   ? r.disk_bytes
   : name == "vcores" ? r.cpu_milli
                      : r.named_milli[name]) = *amount;
  return {};
}

Result<void> apply_dependency(JobSpec& spec, std::string_view text, std::string_view field,
                              const FindJob& find) {
  std::vector<std::string> parts = split(text, ':');
  Dependency dependency;
  if (parts.size() > 1 && parts.back() == "each") {
    dependency.each = true;
    parts.pop_back();
  }
  if (parts.size() > 1) {
    const auto kind = parse_name<DependencyKind>(parts.back(), field);
    if (!kind)
      return tl::unexpected<Error>(kind.error());
    dependency.kind = *kind;
    parts.pop_back();
  }
  const auto id = parts.size() == 1 ? parse_integer(parts[0], field, 1, std::int64_t{1} << 62)
                                    : Result<std::int64_t>(fail(Code::bad_field, "", ""));
  if (id) {
    dependency.job = JobId(static_cast<std::uint64_t>(*id));
  } else {
    if (!find || parts.size() != 1)
      return fail(
        Code::bad_field, std::string(field),
        "must be a job's number, with :ok, :any or :fail behind it, such as 5:any; got '" +
          printable(text) + "'");
    const auto found = find(parts[0]);
    if (!found)
      return fail(found.error().code, std::string(field), found.error().text);
    dependency.job = found->job;
    dependency.place = found->place;
  }
  spec.after.push_back(dependency);
  return {};
}

Result<void> apply_constraint(JobSpec& spec, std::string_view text, std::string_view field) {
  Constraint constraint;
  const std::size_t at = text.find_first_of("=<>!", text.rfind('!', 0) == 0 ? 1 : 0);
  if (at == std::string_view::npos) {
    const bool absent = text.rfind('!', 0) == 0;
    constraint.op = absent ? LabelOperator::absent : LabelOperator::exists;
    constraint.label = text.substr(absent ? 1 : 0);
  } else {
    const bool unequal = text.substr(at, 2) == "!=";
    constraint.label = text.substr(0, at);
    constraint.op = unequal           ? LabelOperator::not_in
                    : text[at] == '<' ? LabelOperator::less
                    : text[at] == '>' ? LabelOperator::greater
                                      : LabelOperator::in;
    constraint.values = split(text.substr(at + (unequal ? 2 : 1)), ',');
  }
  if (constraint.label.empty() || constraint.label.find_first_of("=<>!") != std::string::npos)
    return fail(Code::bad_field, std::string(field),
                "must be such as zone=a,b, zone!=a, ssd, !ssd, cores>16 or cores<64; got '" +
                  printable(text) + "'");
  spec.constraints.push_back(std::move(constraint));
  return {};
}

Result<void> apply_affinity(JobSpec& spec, std::string_view text, bool away,
                            std::string_view field) {
  Affinity affinity;
  affinity.away = away;
  std::string_view rest = text;
  if (!rest.empty() && rest.back() == '?') {
    affinity.required = false;
    rest.remove_suffix(1);
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    affinity.within = rest.substr(at + 1);
    rest = rest.substr(0, at);
  }
  for (const std::string& one : split(rest, ',')) {
    auto pair = parse_pair(one, field);
    if (!pair)
      return fail(Code::bad_field, std::string(field),
                  "must be such as team=x, team=x@zone or team=x? (preferred); got '" +
                    printable(text) + "'");
    affinity.labels.insert(std::move(*pair));
  }
  spec.affinity.push_back(std::move(affinity));
  return {};
}

Result<void> apply_limit(JobSpec& spec, std::string_view text, std::string_view field) {
  Limit limit;
  std::string_view rest = text;
  constexpr std::string_view per_node = "/node";
  if (rest.size() > per_node.size() && rest.substr(rest.size() - per_node.size()) == per_node) {
    limit.per_node = true;
    rest.remove_suffix(per_node.size());
  }
  const auto pair = parse_pair(rest, field);
  const auto most = pair ? parse_integer(pair->second, field, 1, tasks_max)
                         : Result<std::int64_t>(fail(Code::bad_field, "", ""));
  if (!most)
    return fail(Code::bad_field, std::string(field),
                "must be such as db=4 or db=1/node, at least 1; got '" + printable(text) + "'");
  limit.name = pair->first;
  limit.most = static_cast<std::uint32_t>(*most);
  spec.limits.push_back(std::move(limit));
  return {};
}

Result<std::int32_t> parse_signal(std::string_view text, std::string_view field) {
  std::string_view name = text;
  if (name.rfind("SIG", 0) == 0)
    name.remove_prefix(3);
  for (std::int32_t number = 1; number <= 64; ++number)
    if (const char* known = sigabbrev_np(number); known != nullptr && name == known)
      return number;
  const auto number = parse_integer(text, field, 1, 64);
  if (!number)
    return fail(Code::bad_field, std::string(field),
                "must be a signal such as USR1, SIGTERM or 10, got '" + printable(text) + "'");
  return static_cast<std::int32_t>(*number);
}

namespace {

constexpr std::array<std::pair<std::string_view, Cause>, 11> retry_causes{
  {{"any", Cause::none},
   {"exit", Cause::exit_code},
   {"signal", Cause::signal},
   {"time_limit", Cause::time_limit},
   {"oom", Cause::out_of_memory},
   {"out_of_memory", Cause::out_of_memory},
   {"lost_node", Cause::lost_node},
   {"start_failed", Cause::start_failed},
   {"executor_error", Cause::executor_error},
   {"preempted", Cause::preempted},
   {"drained", Cause::drained}}};

Result<CodeRange> parse_code_range(std::string_view text, Cause on, std::string_view field) {
  const auto one = [&](std::string_view code) -> Result<std::int64_t> {
    if (on != Cause::signal)
      return parse_integer(code, field, 1, 255);
    return parse_signal(code, field).map([](std::int32_t n) { return std::int64_t{n}; });
  };
  const std::size_t dash = text.find('-');
  const auto first = one(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : one(text.substr(dash + 1));
  if (!first || !last || *last < *first)
    return fail(Code::bad_field, std::string(field),
                (on == Cause::signal ? "signals must be such as SEGV, 9 or 1-15; got '"
                                     : "exit codes must be such as 75 or 100-110, from 1 to 255; "
                                       "got '") +
                  printable(text) + "'");
  return CodeRange{static_cast<std::int32_t>(*first), static_cast<std::int32_t>(*last)};
}

Result<void> parse_retry_option(RetryRule& rule, std::string_view option, std::string_view field) {
  if (option == "charged") {
    rule.charged = true;
  } else if (option == "hold") {
    rule.hold = true;
  } else if (option.rfind("wait=", 0) == 0) {
    const auto wait = parse_duration(option.substr(5), field);
    if (!wait)
      return tl::unexpected<Error>(wait.error());
    rule.wait = *wait;
  } else {
    return fail(Code::bad_field, std::string(field),
                "behind the number of tries stands :charged, :hold or :wait=DURATION; got '" +
                  printable(option) + "'");
  }
  return {};
}

} // namespace

Result<void> apply_retry(JobSpec& spec, std::string_view text, std::string_view field) {
  const auto bad = [&](const std::string& why) {
    return fail(Code::bad_field, std::string(field), why + "; got '" + printable(text) + "'");
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    return bad("must be such as exit:75,100-110=3, signal:SEGV=1, oom=2 or any=1:hold");
  const std::string_view what = text.substr(0, equals);
  const std::size_t colon = what.find(':');
  const auto cause = std::find_if(retry_causes.begin(), retry_causes.end(), [&](const auto& known) {
    return known.first == what.substr(0, colon);
  });
  if (cause == retry_causes.end())
    return bad("must begin with exit, signal, oom, time_limit, lost_node, preempted, drained, "
               "start_failed, executor_error or any");
  RetryRule rule;
  rule.on = cause->second;
  if (colon != std::string_view::npos) {
    if (rule.on != Cause::exit_code && rule.on != Cause::signal)
      return bad("only exit and signal have codes");
    for (const std::string& code : split(what.substr(colon + 1), ',')) {
      const auto range = parse_code_range(code, rule.on, field);
      if (!range)
        return tl::unexpected<Error>(range.error());
      rule.codes.push_back(*range);
    }
  }
  const std::vector<std::string> parts = split(text.substr(equals + 1), ':');
  const auto tries = parse_integer(parts.front(), field, 0, 1000);
  if (!tries)
    return bad("the number of further tries must be from 0 to 1000");
  rule.tries = static_cast<std::uint32_t>(*tries);
  for (std::size_t k = 1; k < parts.size(); ++k)
    if (auto good = parse_retry_option(rule, parts[k], field); !good)
      return good;
  spec.retry.push_back(std::move(rule));
  return {};
}

Result<void> finish_command(JobSpec& spec, std::string_view field) {
  if (spec.executor != "sleep" || spec.command.size() != 1)
    return {};
  std::string& word = spec.command[0];
  if (!word.empty() && word.find_first_not_of("0123456789") == std::string::npos)
    return {}; // microseconds already
  const auto time = parse_duration(word, field);
  if (!time)
    return tl::unexpected<Error>(time.error());
  word = std::to_string(time->count());
  return {};
}

void default_name(JobSpec& spec) {
  if (!spec.name.empty())
    return;
  spec.name = spec.executor;
  if (spec.executor == "process" && !spec.command.empty())
    spec.name = printable(spec.command[0].substr(spec.command[0].rfind('/') + 1).substr(0, 64));
}

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\'' || quote == '"') {
      if (c == quote)
        quote = 0;
      else if (c == '\\' && quote == '"' && i + 1 < text.size() &&
               (text[i + 1] == '"' || text[i + 1] == '\\'))
        word += text[++i];
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      inside = true;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      if (inside)
        words.push_back(std::move(word));
      word.clear();
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (quote != 0)
    return fail(Code::bad_field, "", "a quote (" + std::string(1, quote) + ") does not end");
  if (inside)
    words.push_back(std::move(word));
  return words;
}

Result<std::optional<Script>> parse_script(std::string_view text) {
  constexpr std::string_view mark = "#REEVE";
  if (text.rfind("#!", 0) != 0)
    return std::nullopt;
  Script script;
  script.interpreter = trim(text.substr(2, text.find('\n') - 2));
  bool any = false;
  std::size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    const bool marked =
      line.rfind(mark, 0) == 0 &&
      (line.size() == mark.size() || line[mark.size()] == ' ' || line[mark.size()] == '\t');
    if (!marked)
      continue;
    any = true;
    auto words = split_words(std::string_view(line).substr(mark.size()));
    if (!words)
      return fail(Code::bad_field, "line " + std::to_string(number), words.error().text);
    for (std::string& word : *words) {
      if (word.rfind('#', 0) == 0) // the rest is a comment
        break;
      script.options.push_back(std::move(word));
    }
  }
  if (!any || script.interpreter.empty())
    return std::nullopt;
  return script;
}

void run_script(JobSpec& spec, const Script& script, std::string text) {
  std::vector<std::string> command{"/bin/sh", "-c",
                                   "exec " + script.interpreter + R"( "$REEVE_PAYLOAD" "$@")"};
  command.insert(command.end(), spec.command.begin(),
                 spec.command.end()); // the script's own name is $0
  default_name(spec);
  spec.command = std::move(command);
  spec.payload.data = std::move(text);
}

} // namespace reeve::cli
