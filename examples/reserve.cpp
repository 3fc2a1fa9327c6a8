// Holds a part of a node while it does work of its own, without a task: takes a lease, shows where,
// makes it last longer, gives it back. What can not be granted is refused at once, with the
// numbers.
//
//   reserve VCORES [NODE]        ($REEVE_MASTER says where the master is)
#include <reeve/client.hpp>

#include <cstdio>
#include <cstdlib>

namespace {
int complain(const char* what, const reeve::Error& error) {
  std::fprintf(stderr, "reserve: %s: %s\n", what, error.message().c_str());
  return 1;
}
} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: reserve VCORES [NODE]\n");
    return 2;
  }
  const char* master = std::getenv("REEVE_MASTER");
  auto client =
    reeve::Client::connect(reeve::parse_endpoints(master ? master : "tcp://127.0.0.1:7117"));
  if (!client)
    return complain("connect", client.error());

  reeve::Allocate wanted;
  wanted.owner = "reserve";
  wanted.node = argc > 2 ? argv[2] : "";
  wanted.resources.cpu_milli = static_cast<std::int64_t>(std::strtod(argv[1], nullptr) * 1000);
  wanted.duration = std::chrono::seconds(30); // ends by itself if this program dies
  const auto granted = client->allocate(wanted);
  if (!granted)
    return complain("refused", granted.error());
  const reeve::LeaseId lease = granted->lease.lease;
  std::printf("lease %llu on %s: %s\n", static_cast<unsigned long long>(lease.value),
              granted->lease.node.c_str(), reeve::to_text(granted->lease.resources).c_str());
  std::printf("left there: %s\n", reeve::to_text(granted->available).c_str());

  // Here a real program would work, and renew before the half of the time is over.
  if (const auto renewed = client->renew(lease, std::chrono::minutes(1)); !renewed)
    return complain("renew", renewed.error());
  reeve::Release back;
  back.lease = lease;
  if (const auto released = client->release(back); !released)
    return complain("release", released.error());
  std::printf("given back\n");
  return 0;
}
