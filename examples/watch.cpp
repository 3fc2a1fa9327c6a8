// Follows a cluster: prints what happens to jobs, from where it stopped the last time. The place is
// kept in a file, so that nothing is missed while this program, or the master, is away.
//
//   watch PLACE_FILE [COUNT]       ($REEVE_MASTER says where the master is)
#include <reeve/events.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: watch PLACE_FILE [COUNT]\n");
    return 2;
  }
  unsigned long long seq = 0, part = 0; // of the last event that was seen
  std::ifstream(argv[1]) >> seq >> part;
  const long most = argc > 2 ? std::atol(argv[2]) : 0;

  reeve::EventOptions options;
  options.from = reeve::Seq(seq); // this one again: it may have had more parts
  const char* master = std::getenv("REEVE_MASTER");
  auto stream = reeve::EventStream::open(
    reeve::parse_endpoints(master ? master : "tcp://127.0.0.1:7117"), options);
  if (!stream) {
    std::fprintf(stderr, "watch: %s\n", stream.error().message().c_str());
    return 1;
  }
  for (long told = 0; most == 0 || told < most;) {
    const auto event = stream->next(std::chrono::seconds(1));
    if (!event) {
      std::fprintf(stderr, "watch: %s\n", event.error().message().c_str());
      return 1;
    }
    if (!*event)
      continue;
    const reeve::Event& e = **event;
    if (e.seq.value == seq && e.part <= part && seq > 0)
      continue; // seen the last time
    if (e.job || e.kind == "stream.gap") {
      std::printf("%llu.%u %s job %llu queue %s %s\n", static_cast<unsigned long long>(e.seq.value),
                  e.part, e.kind.c_str(), static_cast<unsigned long long>(e.job.value),
                  e.queue.empty() ? "-" : e.queue.c_str(), e.name.c_str());
      std::fflush(stdout);
      ++told;
    }
    std::ofstream(argv[1], std::ios::trunc) << e.seq.value << " " << e.part << "\n";
  }
  return 0;
}
