// `reeve lease …`: list, take, renew, release.
#include "src/cli/commands.hpp"
#include "src/cli/job_text.hpp"
#include "src/cli/views.hpp"
#include "src/util/text.hpp"

#include <algorithm>
#include <ostream>

namespace reeve::cli {
namespace {

struct Take {
  std::string node, owner, queue, vcores, memory, disk, duration, key;
  std::vector<std::string> resources, limits;
};

Result<Allocate> lease_request(const Take& o, const std::string& user) {
  Allocate request;
  request.node = o.node;
  request.owner = o.owner.empty() ? user : o.owner;
  request.queue = o.queue;
  request.key.data = o.key;
  JobSpec spec; // a task's resources are written the same way
  std::vector<std::string> all = o.resources;
  if (!o.vcores.empty())
    all.push_back("vcores=" + o.vcores);
  if (!o.memory.empty())
    all.push_back("memory=" + o.memory);
  if (!o.disk.empty())
    all.push_back("disk=" + o.disk);
  for (const std::string& text : all)
    if (auto good = apply_resource(spec, text, "--resource"); !good)
      return tl::unexpected<Error>(good.error());
  if (is_zero(spec.resources))
    return fail(Code::bad_field, "--vcores",
                "say what to hold: --vcores, --memory, --disk or --resource");
  request.resources = spec.resources;
  for (const std::string& text : o.limits)
    if (auto good = apply_limit(spec, text, "--limit"); !good)
      return tl::unexpected<Error>(good.error());
  request.limits = spec.limits;
  if (!o.duration.empty()) {
    const auto duration = parse_duration(o.duration, "--for");
    if (!duration)
      return tl::unexpected<Error>(duration.error());
    request.duration = *duration;
  }
  return request;
}

Exit take_lease(Session& session, const Take& o) {
  const auto request = lease_request(o, session.terminal.user);
  if (!request)
    return session.usage(request.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  const auto granted = (*client)->allocate(*request, session.timeout);
  if (!granted)
    return session.fail(granted.error());
  const LeaseView& lease = granted->lease;
  const std::string id = std::to_string(lease.lease.value);
  if (session.format == Format::quiet) {
    session.terminal.out << id << "\n";
    return Exit::good;
  }
  session.show_done(to_json(*granted),
                    "lease " + id + " on " + lease.node + ": " + to_text(lease.resources) +
                      (lease.expires == TimePoint{} ? ", until released"
                                                    : ", until " + format_time(lease.expires)));
  return Exit::good;
}

Exit list_leases(Session& session, const std::string& node, const std::string& owner) {
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  auto list = (*client)->ask(ListLeases{}, session.timeout);
  if (!list)
    return session.fail(list.error());
  std::erase_if(list->leases, [&](const LeaseView& lease) {
    return (!node.empty() && lease.node != node) || (!owner.empty() && lease.owner != owner);
  });
  std::vector<std::string> ids;
  for (const LeaseView& lease : list->leases)
    ids.push_back(std::to_string(lease.lease.value));
  session.show_list(to_json(*list), "leases", lease_table(list->leases), ids);
  return Exit::good;
}

Result<LeaseId> lease_id(const std::string& text) {
  const auto id = parse_integer(text, "LEASE", 1, std::int64_t{1} << 62);
  if (!id)
    return tl::unexpected<Error>(id.error());
  return LeaseId(static_cast<std::uint64_t>(*id));
}

Exit renew_lease(Session& session, const std::string& lease, const std::string& duration_text) {
  const auto id = lease_id(lease);
  if (!id)
    return session.usage(id.error());
  const auto duration = parse_duration(duration_text, "--for");
  if (!duration)
    return session.usage(duration.error());
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  if (const auto done = (*client)->renew(*id, *duration, session.timeout); !done)
    return session.fail(done.error());
  session.show_done(Json{{"lease", id->value}, {"duration_us", duration->count()}},
                    "lease " + lease + " holds for another " + format_duration(*duration));
  return Exit::good;
}

Exit release_leases(Session& session, const std::vector<std::string>& leases,
                    const std::string& node, const std::string& owner) {
  if (leases.empty() == node.empty())
    return session.usage(
      Error{Code::bad_field, "LEASE", "give either leases or --node (and --owner)"});
  std::vector<Release> requests;
  for (const std::string& text : leases) {
    const auto id = lease_id(text);
    if (!id)
      return session.usage(id.error());
    requests.push_back(Release{*id, "", ""});
  }
  if (!node.empty())
    requests.push_back(Release{LeaseId(), node, owner});
  auto client = session.client();
  if (!client)
    return session.fail(client.error());
  std::uint64_t changed = 0;
  for (const Release& request : requests) {
    const auto done = (*client)->release(request, session.timeout);
    if (!done)
      return session.fail(done.error());
    changed += done->changed;
  }
  session.show_done(Json{{"leases_released", changed}},
                    std::to_string(changed) +
                      (changed == 1 ? " lease released" : " leases released"));
  return Exit::good;
}

} // namespace

void add_lease_commands(Command root, Session& session) {
  Command noun = root.noun("lease", "Resources held without a task: list, take, renew, release");
  {
    struct Options {
      std::string node, owner;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("list", "Shows leases", "reeve lease list --node n1",
            [&session, o] { return list_leases(session, o->node, o->owner); })
      .text("--node", o->node, "Only on this node", "NODE")
      .text("--owner", o->owner, "Only of this owner", "OWNER");
  }
  {
    auto o = std::make_shared<Take>();
    noun
      .verb("take", "Holds resources of a node; granted at once, or refused with what is short",
            "reeve lease take --vcores 2 --memory 4GiB --for 10m",
            [&session, o] { return take_lease(session, *o); })
      .text("--node", o->node, "On this node (else on one with room)", "NODE")
      .text("--vcores", o->vcores, "Cores, such as 2 or 0.5", "N")
      .text("--memory", o->memory, "Memory, such as 4GiB", "SIZE")
      .text("--disk", o->disk, "Disk", "SIZE")
      .list("-r,--resource", o->resources, "Others, such as gpu=1; repeatable", "NAME=N")
      .text("--for", o->duration, "Given back by itself after so long, unless renewed", "DURATION")
      .text("--owner", o->owner, "Who holds it (else the login name)", "OWNER")
      .text("-q,--queue", o->queue,
            "In whose limits and shares it counts (else the one that scheduler.lease_queue names)",
            "QUEUE")
      .list("--limit", o->limits,
            "Counts under this name as a task would: db=4, with --node db=1/node; repeatable",
            "NAME=N")
      .text("--key", o->key, "The same key again takes no second lease (else a random one)", "KEY");
  }
  {
    struct Options {
      std::string lease, duration;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("renew", "Holds a lease for longer, counted from now", "reeve lease renew 3 --for 10m",
            [&session, o] { return renew_lease(session, o->lease, o->duration); })
      .word("LEASE", o->lease, "Its number", Command::Need::needed)
      .needed_text("--for", o->duration, "So long from now on", "DURATION");
  }
  {
    struct Options {
      std::vector<std::string> leases;
      std::string node, owner;
    };
    auto o = std::make_shared<Options>();
    noun
      .verb("release", "Gives leases back", "reeve lease release 3 4",
            [&session, o] { return release_leases(session, o->leases, o->node, o->owner); })
      .words("LEASE", o->leases, "Their numbers", Command::Need::optional)
      .text("--node", o->node, "All on this node", "NODE")
      .text("--owner", o->owner, "With --node: only those of this owner", "OWNER");
  }
}

} // namespace reeve::cli
