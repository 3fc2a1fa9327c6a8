// Job files. See job_file.hpp. Every friendly form is turned into the schema's own field first;
// then the schema reads it.
#include "src/cli/job_file.hpp"

#include "src/cli/job_text.hpp"
#include "src/util/json.hpp"
#include "src/util/text.hpp"
#include "src/util/toml.hpp"

#include <map>
#include <optional>
#include <sstream>

namespace reeve::cli {
namespace {

Json from_toml(const toml::node& node) {
  switch (node.type()) {
  case toml::node_type::table: {
    // toml++ keeps a table sorted by name; jobs and their order are arrays.
    Json out = Json::object();
    for (const auto& [key, value] : *node.as_table())
      out[std::string(key.str())] = from_toml(value);
    return out;
  }
  case toml::node_type::array: {
    Json out = Json::array();
    for (const auto& item : *node.as_array())
      out.push_back(from_toml(item));
    return out;
  }
  case toml::node_type::string:
    return std::string(node.as_string()->get());
  case toml::node_type::integer:
    return node.as_integer()->get();
  case toml::node_type::floating_point:
    return node.as_floating_point()->get();
  case toml::node_type::boolean:
    return node.as_boolean()->get();
  default: { // dates and times: as written
    std::ostringstream text;
    node.visit([&](const auto& leaf) {
      if constexpr (toml::is_date<decltype(leaf)> || toml::is_time<decltype(leaf)> ||
                    toml::is_date_time<decltype(leaf)>)
        text << leaf.get();
    });
    return text.str();
  }
  }
}

Result<Json> parse_toml(std::string_view text) {
  try {
    return from_toml(toml::parse(text));
  } catch (const toml::parse_error& trouble) {
    const auto& at = trouble.source().begin;
    return fail(Code::bad_message, "",
                "line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": " +
                  std::string(trouble.description()));
  } catch (const std::exception& trouble) {
    return fail(Code::bad_message, "", std::string("not TOML: ") + trouble.what());
  }
}

const FindJob no_other_jobs;

/// Numbers as they were written, text as it is: what the parsers of text.hpp take.
Result<std::string> scalar_text(const Json& value, std::string_view field) {
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_number())
    return dump_json(value);
  return fail(Code::bad_field, std::string(field), "must be text or a number");
}

/// Reads one job's keys, one after the other.
class JobReader {
public:
  /// `find` knows the other jobs of the file by name.
  JobReader(std::string path, const ReadFile& read_file, const FindJob& find)
      : path_(std::move(path)), read_file_(read_file), find_(find) {}
  Result<JobSpec> read(const Json& job);

private:
  [[nodiscard]] std::string field(const std::string& key) const {
    return path_.empty() ? key : path_ + "." + key;
  }
  /// True when the key is a friendly one and has been dealt with.
  Result<bool> friendly(const std::string& key, const Json& value);
  Result<void> command(const Json& value);
  Result<void> duration(const std::string& key, const Json& value);
  Result<void> amount(const std::string& key, const Json& value);
  Result<void> resources(const Json& value);
  Result<void> env(const Json& value);
  Result<bool> text_list(const std::string& key, const Json& value);

  std::string path_;
  const ReadFile& read_file_;
  const FindJob& find_;
  Json canonical_ = Json::object();
  JobSpec extra_; // what array, each_line and resources say
  bool array_ = false, lines_ = false, vcores_ = false, any_resource_ = false;
};

Result<void> JobReader::command(const Json& value) {
  if (value.is_string())
    canonical_["command"] = Json::array({"/bin/sh", "-c", value});
  else
    canonical_["command"] = value;
  return {};
}

Result<void> JobReader::duration(const std::string& key, const Json& value) {
  const auto text = scalar_text(value, field(key));
  if (!text)
    return tl::unexpected<Error>(text.error());
  const auto parsed = parse_duration(*text, field(key));
  if (!parsed)
    return tl::unexpected<Error>(parsed.error());
  canonical_[key + "_us"] = parsed->count();
  return {};
}

Result<void> JobReader::amount(const std::string& key, const Json& value) {
  const auto text = scalar_text(value, field(key));
  if (!text)
    return tl::unexpected<Error>(text.error());
  auto done = apply_resource(extra_, key + "=" + *text, field(key));
  if (!done) // "jobs[0].memory memory" reads badly
    return fail(done.error().code, field(key), done.error().text);
  any_resource_ = true;
  vcores_ = vcores_ || key == "vcores";
  return {};
}

Result<void> JobReader::resources(const Json& value) {
  if (!value.is_object())
    return fail(Code::bad_field, field("resources"),
                "must be a table such as {vcores = 1, memory = \"2GiB\", gpu = 1}");
  static constexpr std::array schema_names{"cpu_milli", "memory_bytes", "disk_bytes",
                                           "named_milli"};
  Json canonical = Json::object();
  for (const auto& item : value.items()) {
    if (std::find(schema_names.begin(), schema_names.end(), item.key()) != schema_names.end()) {
      canonical[item.key()] = item.value();
      vcores_ = vcores_ || item.key() == "cpu_milli";
      continue;
    }
    const std::string path = field("resources." + item.key());
    const auto text = scalar_text(item.value(), path);
    if (!text)
      return tl::unexpected<Error>(text.error());
    if (auto done = apply_resource(extra_, item.key() + "=" + *text, path); !done)
      return fail(done.error().code, path, done.error().text);
    any_resource_ = true;
    vcores_ = vcores_ || item.key() == "vcores";
  }
  if (!canonical.empty())
    canonical_["resources"] = canonical;
  return {};
}

Result<void> JobReader::env(const Json& value) {
  canonical_["env"] = value;
  if (!value.is_object())
    return {};
  for (auto& item : canonical_["env"].items())
    if (item.value().is_number() || item.value().is_boolean())
      item.value() = dump_json(item.value());
  return {};
}

/// Lists whose items may be short texts, as the options of submit are; others stay as they are.
Result<bool> JobReader::text_list(const std::string& key, const Json& value) {
  const bool near = key == "near" || key == "apart"; // no fields of the schema: texts alone
  if (key != "after" && key != "constraints" && key != "limits" && key != "retry" && !near)
    return false;
  const Json list = value.is_array() ? value : Json::array({value});
  Json others = Json::array();
  for (std::size_t k = 0; k < list.size(); ++k) {
    const std::string path = field(key + "[" + std::to_string(k) + "]");
    if (list[k].is_object() && key == "retry") { // their order counts
      auto rule = from_json<RetryRule>(list[k]);
      if (!rule)
        return fail(rule.error().code,
                    path + (rule.error().field.empty() ? "" : "." + rule.error().field),
                    rule.error().text);
      extra_.retry.push_back(std::move(*rule));
      continue;
    }
    if (list[k].is_object() && !near) {
      others.push_back(list[k]);
      continue;
    }
    const auto text = scalar_text(list[k], path);
    if (!text)
      return tl::unexpected<Error>(text.error());
    const auto done = key == "after"         ? apply_dependency(extra_, *text, path, find_)
                      : key == "constraints" ? apply_constraint(extra_, *text, path)
                      : key == "limits"      ? apply_limit(extra_, *text, path)
                      : key == "retry"       ? apply_retry(extra_, *text, path)
                                             : apply_affinity(extra_, *text, key == "apart", path);
    if (!done)
      return tl::unexpected<Error>(done.error());
  }
  if (!others.empty())
    canonical_[key] = others;
  return true;
}

Result<bool> JobReader::friendly(const std::string& key, const Json& value) {
  const auto handled = [](const Result<void>& done) -> Result<bool> {
    if (!done)
      return tl::unexpected<Error>(done.error());
    return true;
  };
  if (key == "command")
    return handled(command(value));
  if (key == "time_limit" || key == "estimate" || key == "grace" || key == "checkpoint_grace" ||
      key == "disconnect" || key == "orphan_after")
    return handled(duration(key, value));
  if (key == "vcores" || key == "memory" || key == "disk")
    return handled(amount(key, value));
  if (key == "resources")
    return handled(resources(value));
  if (key == "env")
    return handled(env(value));
  if (key == "deadline") {
    const auto text = scalar_text(value, field(key));
    if (!text)
      return tl::unexpected<Error>(text.error());
    const auto time = parse_time(*text, field(key), TimePoint{});
    if (!time || *time <= TimePoint{})
      return fail(Code::bad_field, field(key),
                  "must be a time such as 2025-01-31 or '2025-01-31 10:00', got '" +
                    printable(*text) + "'");
    canonical_[key + "_us"] = time->time_since_epoch().count();
    return true;
  }
  if (key == "checkpoint_signal") {
    const auto text = scalar_text(value, field(key));
    if (!text)
      return tl::unexpected<Error>(text.error());
    const auto signal = parse_signal(*text, field(key));
    if (!signal)
      return tl::unexpected<Error>(signal.error());
    canonical_[key] = *signal;
    return true;
  }
  if (key == "stdin") {
    canonical_["stdin_file"] = value;
    return true;
  }
  if (key == "output_limit" && value.is_string()) {
    const auto bytes = parse_size(value.get<std::string>(), field(key));
    if (!bytes)
      return tl::unexpected<Error>(bytes.error());
    canonical_[key] = *bytes;
    return true;
  }
  if (key == "array") {
    const auto text = scalar_text(value, field(key));
    if (!text)
      return tl::unexpected<Error>(text.error());
    array_ = true;
    return handled(apply_array(extra_, *text, field(key)));
  }
  if (key == "each_line") {
    if (!value.is_string())
      return fail(Code::bad_field, field(key), "must be the path of a file with one item a line");
    auto content = read_file_(value.get<std::string>());
    if (!content)
      return fail(Code::bad_field, field(key), content.error().message());
    lines_ = true;
    return handled(apply_lines(extra_, *content, field(key)));
  }
  return text_list(key, value);
}

Result<JobSpec> JobReader::read(const Json& job) {
  if (!job.is_object())
    return fail(Code::bad_field, path_.empty() ? "file" : path_,
                "must be a table of a job's fields");
  for (const auto& item : job.items()) {
    auto done = friendly(item.key(), item.value());
    if (!done)
      return tl::unexpected<Error>(done.error());
    if (!*done)
      canonical_[item.key()] = item.value();
  }
  auto spec = from_json<JobSpec>(canonical_);
  if (!spec)
    return fail(spec.error().code, field(spec.error().field), spec.error().text);
  if (array_) {
    spec->count = extra_.count;
    spec->index_first = extra_.index_first;
    spec->index_step = extra_.index_step;
    spec->max_parallel = extra_.max_parallel != 0 ? extra_.max_parallel : spec->max_parallel;
  }
  if (lines_)
    spec->items = std::move(extra_.items);
  if (!spec->items.empty() && !array_ && !canonical_.contains("count"))
    spec->count = static_cast<std::uint32_t>(spec->items.size());
  const auto append = [](auto& to, auto& more) {
    to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(spec->after, extra_.after);
  append(spec->constraints, extra_.constraints);
  append(spec->affinity, extra_.affinity);
  append(spec->limits, extra_.limits);
  append(spec->retry, extra_.retry);
  if (any_resource_)
    spec->resources += extra_.resources;
  if (!vcores_)
    spec->resources.cpu_milli = 1000; // as `reeve submit` without --vcores
  if (auto done = finish_command(*spec, field("command")); !done)
    return tl::unexpected<Error>(done.error());
  default_name(*spec);
  if (auto good = validate(*spec, path_); !good)
    return tl::unexpected<Error>(good.error());
  return std::move(*spec);
}

/// Where each name stands in the list; nothing where several have it.
std::map<std::string, std::optional<std::uint32_t>, std::less<>> places_of(const Json& list) {
  std::map<std::string, std::optional<std::uint32_t>, std::less<>> places;
  for (std::size_t k = 0; k < list.size(); ++k) {
    if (!list[k].is_object() || !list[k].contains("name") || !list[k]["name"].is_string())
      continue;
    const auto place = static_cast<std::uint32_t>(k);
    const auto [at, fresh] = places.try_emplace(list[k]["name"].get<std::string>(), place);
    if (!fresh)
      at->second.reset();
  }
  return places;
}

} // namespace

JobFileForm form_of(std::string_view name, std::string_view text) {
  const auto ends = [&](std::string_view tail) {
    return name.size() >= tail.size() && name.substr(name.size() - tail.size()) == tail;
  };
  if (ends(".json"))
    return JobFileForm::json;
  if (ends(".toml"))
    return JobFileForm::toml;
  const std::string_view start = trim(text);
  return !start.empty() && start.front() == '{' ? JobFileForm::json : JobFileForm::toml;
}

Result<std::vector<JobSpec>> parse_job_file(std::string_view text, JobFileForm form,
                                            const ReadFile& read_file) {
  const auto parsed = form == JobFileForm::json ? parse_json(text) : parse_toml(text);
  if (!parsed)
    return tl::unexpected<Error>(parsed.error());
  std::vector<JobSpec> jobs;
  if (!parsed->is_object() || !parsed->contains("jobs")) {
    auto job = JobReader("", read_file, no_other_jobs).read(*parsed);
    if (!job)
      return tl::unexpected<Error>(job.error());
    jobs.push_back(std::move(*job));
    return jobs;
  }
  for (const auto& item : parsed->items())
    if (item.key() != "jobs")
      return fail(Code::bad_field, item.key(), "no such field beside `jobs`");
  const Json& list = (*parsed)["jobs"];
  if (!list.is_array() || list.empty())
    return fail(Code::bad_field, "jobs", "must be a list of at least one job");
  const FindJob find = [places = places_of(list)](std::string_view name) -> Result<Dependency> {
    const auto at = places.find(name);
    if (at == places.end())
      return fail(Code::bad_field, "", "no job of this name in the file: " + printable(name));
    if (!at->second)
      return fail(Code::bad_field, "", "several jobs of the file are called " + printable(name));
    Dependency dependency;
    dependency.place = *at->second;
    return dependency;
  };
  for (std::size_t k = 0; k < list.size(); ++k) {
    auto job = JobReader("jobs[" + std::to_string(k) + "]", read_file, find).read(list[k]);
    if (!job)
      return tl::unexpected<Error>(job.error());
    jobs.push_back(std::move(*job));
  }
  return jobs;
}

} // namespace reeve::cli
