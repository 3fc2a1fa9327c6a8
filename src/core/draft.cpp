// See draft.hpp.
#include "src/core/draft.hpp"

#include <algorithm>

namespace reeve::core {
namespace {

/// Fields that say nothing about where, when and how long a task runs.
constexpr std::string_view own_fields[] = {
  "cwd",      "env",          "stdin_file",          "payload",     "index_first",    "index_step",
  "grace_us", "output_limit", "checkpoint_grace_us", "correlation", "orphan_after_us"};

/// The name with every number in it as '#': "frame-0017" and "frame-0018" are of one family.
void put_family(std::string& out, std::string_view name) {
  bool digits = false;
  for (const char c : name) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit)
      out += c;
    else if (!digits)
      out += '#';
    digits = digit;
  }
}

KindPtr kind_of(const JobSpec& spec) {
  auto kind = std::make_shared<Kind>();
  kind->queue = spec.queue;
  kind->user = spec.user;
  kind->executor = spec.executor;
  kind->resources = spec.resources;
  kind->priority = spec.priority;
  kind->max_parallel = spec.max_parallel;
  kind->estimate = spec.estimate;
  kind->time_limit = spec.time_limit;
  kind->retries = spec.retries;
  kind->lost_retries = spec.lost_retries;
  kind->node_labels = spec.node_labels;
  put_family(kind->family, spec.name);
  kind->labels = spec.labels;
  kind->on_failure = spec.on_failure;
  kind->constraints = spec.constraints;
  kind->affinity = spec.affinity;
  kind->spread = spec.spread;
  kind->exclusive = spec.exclusive;
  kind->gang = spec.gang;
  kind->overcommit = spec.overcommit;
  kind->preemptible = spec.preemptible;
  kind->deadline = spec.deadline;
  kind->limits = spec.limits;
  kind->retry = spec.retry;
  kind->crash_nodes = spec.crash_nodes;
  kind->checkpoints = spec.checkpoint_signal != 0;
  kind->speculate = spec.speculate;
  kind->disconnect = spec.disconnect;
  return kind;
}

using codec::Token;
using codec::Type;

/// How many tokens the value at `at` takes.
std::size_t extent(const std::vector<Token>& tokens, std::size_t at) {
  std::size_t n = 0;
  for (std::uint64_t open = 1; open > 0; --open, ++n) {
    const Token& token = tokens[at + n];
    open += token.type == Type::array ? token.size
            : token.type == Type::map ? 2ull * token.size
                                      : 0;
  }
  return n;
}

void put_token(std::string& out, const Token& token) {
  switch (token.type) {
  case Type::nil:
    return codec::put_nil(out);
  case Type::boolean:
    return codec::put_bool(out, token.b);
  case Type::uint:
    return codec::put_uint(out, token.u);
  case Type::sint:
    return codec::put_int(out, token.i);
  case Type::real:
    return codec::put_real(out, token.d);
  case Type::str:
    return codec::put_str(out, {token.data, token.size});
  case Type::bin:
    return codec::put_bin(out, {token.data, token.size});
  case Type::array:
    return codec::put_array(out, token.size);
  case Type::map:
    return codec::put_map(out, token.size);
  }
}

/// Reads what makes the kind out of an encoded JobSpec. False: it must be decoded whole to be
/// understood (or is none).
bool scan(std::string_view bytes, std::string& key, std::uint32_t& count) {
  key.clear();
  count = 1;
  codec::Tape& tape = codec::thread_tape();
  if (!tape.parse(bytes, stored_limits) || tape.tokens[0].type != Type::map)
    return false;
  const auto& tokens = tape.tokens;
  bool whole = true;
  for (std::size_t at = 1; at < tokens.size();) {
    const Token& name = tokens[at];
    if (name.type != Type::str)
      return false;
    const std::string_view field(name.data, name.size);
    const Token& value = tokens[at + 1];
    const std::size_t size = extent(tokens, at + 1);
    at += 1 + size;
    if (field == "command")
      continue;
    if (field == "name") {
      if (value.type != Type::str)
        return false;
      put_family(key, {value.data, value.size});
      key += '\n';
    } else if (field == "count") {
      if (value.type != Type::uint || value.u < 1 || value.u > tasks_max)
        return false;
      count = static_cast<std::uint32_t>(value.u);
    } else if (field == "items" || field == "after") {
      whole = false;
    } else if (std::find(std::begin(own_fields), std::end(own_fields), field) ==
               std::end(own_fields)) {
      whole &= field != "gang"; // is checked against the count
      for (std::size_t i = at - size - 1; i < at; ++i)
        put_token(key, tokens[i]);
    }
  }
  codec::trim(tape);
  return whole;
}

} // namespace

std::string family_of(std::string_view name) {
  std::string out;
  put_family(out, name);
  return out;
}

std::string JobDraft::name() const {
  const auto decoded = decode<JobSpec>(blob(), stored_limits);
  return decoded ? decoded->name : std::string();
}

Result<JobDraft> Drafter::draft(const Raw& raw) {
  JobDraft draft;
  draft.spec = raw.msgpack;
  const bool plain = scan(raw.msgpack, key_, draft.count);
  const auto known = kinds_.find(key_);
  const auto fresh = fresh_.find(key_);
  if (known != kinds_.end())
    draft.known = &known->second;
  else if (fresh != fresh_.end())
    draft.kind = fresh->second;
  if (plain && (draft.known || draft.kind)) {
    if (!draft.known)
      draft.key = key_;
    return draft;
  }
  auto spec = decode<JobSpec>(raw.msgpack, stored_limits);
  if (!spec)
    return tl::unexpected<Error>(std::move(spec).error());
  if (auto good = validate(*spec, ""); !good)
    return tl::unexpected<Error>(std::move(good).error());
  draft.count = spec->count;
  if (!draft.known) {
    draft.key = key_;
    if (!draft.kind)
      draft.kind = fresh_[key_] = kind_of(*spec);
  }
  draft.after = std::move(spec->after);
  if (!spec->items.empty()) {
    draft.items = std::move(spec->items);
    spec->items.clear();
    spec->after = draft.after; // an agent sees it as it was
    draft.without_items = encode(*spec);
  }
  return draft;
}

} // namespace reeve::core
