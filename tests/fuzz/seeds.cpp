// Writes first inputs for the fuzz targets that read our own formats, from samples of every message
// and entry and from a small cluster's life: reeve_fuzz_replay --seeds FOLDER. What a fuzzer makes
// of them joins corpus/ by hand.
#include "tests/fuzz/seeds.hpp"
#include "agents/worker/agent_loop.hpp"
#include "agents/worker/agent_wire.hpp"
#include "agents/worker/keeper_log.hpp"
#include "agents/worker/keeper_socket.hpp"
#include "src/core/cluster.hpp"
#include "src/journal/batch_row.hpp"
#include "src/journal/etcd_row.hpp"
#include "src/journal/file_lock.hpp"
#include "tests/unit/messages/all_types.hpp"
#include "tests/unit/messages/values.hpp"

#include <filesystem>
#include <fstream>

namespace reeve::fuzz {
namespace {

std::string little(std::uint64_t value, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i)
    out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string piece(const std::string& bytes) {
  return little(bytes.size(), 2) + bytes;
}
template<class M> std::string said(std::uint64_t what, const M& message) {
  const auto [header, body] = frames(message, 1, Epoch(3));
  return little(what, 1) + piece(header) + piece(body);
}

class Writer {
public:
  explicit Writer(std::string folder) : folder_(std::move(folder)) {}
  void put(const std::string& target, const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(folder_ + "/" + target);
    std::ofstream(folder_ + "/" + target + "/" + name, std::ios::binary) << bytes;
  }

private:
  std::string folder_;
};

JobSpec noop(std::uint32_t count) {
  JobSpec spec;
  spec.name = "a";
  spec.executor = "noop";
  spec.count = count;
  return spec;
}

void put_messages(Writer& out) {
  std::uint64_t place = 1'000;
  test::each_type([&]<class T>(std::type_identity<T>, const char* name) {
    std::uint64_t number = place++;
    if constexpr (test::is_message<T>)
      number = static_cast<std::uint64_t>(T::type);
    const std::string bytes = encode(test::sample<T>());
    if (bytes.size() < 700)
      out.put("messages", name, little(number, 2) + bytes);
  });
}

/// The entries of a cluster where something of everything happened.
std::vector<Entry> a_life() {
  const TimePoint at{Duration(1'700'000'000'000'000)};
  std::vector<Fact> facts{
    EpochStarted{Epoch(1), "m"},
    NodeRegistered{NodeId(1), "n1", Incarnation(7), {4'000, 1 << 30, 0, {}}, {}, {"noop"}, "p"},
    JobsSubmitted{JobId(1), Bytes{"k"}, {Raw{encode(noop(100))}, Raw{encode(noop(1))}}},
    TasksPlaced{{Placement{NodeId(1), JobId(1), 2, {{0, 50, 1}}}}},
    TasksFinished{NodeId(1), {JobResults{JobId(1), {{{0, 10, 1}, at, at}}, {}}}},
    TasksCancelled{JobId(1), {{60, 5, 1}}, "why"},
    JobHeld{JobId(2), true, "why"},
    LeaseGranted{LeaseId(1), NodeId(1), "me", {1'000, 0, 0, {}}, {}, {}},
    LeaseRenewed{LeaseId(1), at},
    NodesDrained{{NodeId(1)}, true, "why"},
    NodesQuarantined{{NodeId(1)}, at, "why"},
    NodeTuned{NodeId(1), 1'500, true, "why"},
    NodesLabelled{{NodeId(1)}, {{"zone", "a"}}},
    ConfigChanged{{{"retention.jobs", "2h"}}},
    LeasesEnded{{LeaseId(1)}, true},
    NodesLost{{NodeId(1)}, "silent", false},
    TasksRequeued{JobId(1), {{10, 40, 1}}, Cause::lost_node, at, "why"},
    TasksCancelled{JobId(1), {}, ""},
    TasksRetried{JobId(1), {}},
  };
  std::vector<Entry> entries;
  for (auto& fact : facts)
    entries.push_back({at, std::move(fact)});
  return entries;
}

void put_entries(Writer& out) {
  core::Cluster cluster;
  core::Changes changes;
  std::string all;
  for (const auto& entry : a_life()) {
    if (!cluster.replay(cluster.last_seq().next(), entry, changes))
      break;
    all += piece(encode(entry));
    const std::string name = std::to_string(cluster.last_seq().value);
    out.put("entries", name, all);
    out.put("snapshot", name, cluster.snapshot());
  }
  test::each_type([&]<class T>(std::type_identity<T>, const char* name) {
    if constexpr (std::is_constructible_v<Fact, T>)
      out.put("entries", name, all + piece(encode(Entry{{}, test::sample<T>()})));
  });
}

void put_gateway(Writer& out) {
  test::each_message([&]<class T>(std::type_identity<T>, const char* name) {
    T message = test::sample<T>();
    if constexpr (requires { message.session; })
      message.session = 77;
    std::string bytes = said(0, message) + said(1, message);
    if (bytes.size() < 2'000)
      out.put("gateway", name, bytes);
  });
  Submit submit;
  submit.jobs = {noop(5)};
  Heartbeat beat;
  beat.session = 77;
  out.put("gateway", "talk",
          said(1, submit) + said(0, beat) + said(2, Hello{{1}, "x"}) + said(31, beat));
  out.put("gateway", "garbage", little(1, 1) + piece("\xc1\xc1") + piece("\xff"));
}

void put_agent(Writer& out) {
  Registered registered;
  registered.session = 7;
  registered.node = NodeId(1);
  registered.heartbeat = std::chrono::seconds(1);
  const std::string begin = said(0, registered);
  Assign assign;
  assign.session = 7;
  assign.number = 1;
  assign.specs = {{JobId(1), Raw{encode(noop(100))}}};
  assign.jobs = {{JobId(1), 2, {{0, 50, 1}}, {}, {}}};
  StopTasks stop{{{JobId(1), {{10, 20, 1}}}}, "why"};
  JobSpec process;
  process.command = {"true"};
  Assign more = assign;
  more.number = 2;
  more.specs = {{JobId(2), Raw{encode(process)}}};
  more.jobs = {{JobId(2), 1, {{0, 2, 1}}, {"a", "b"}, {}}, {JobId(1), 4, {{50, 50, 2}}, {}, {}}};
  out.put("agent", "register", begin);
  out.put("agent", "assign", begin + said(1, assign));
  out.put("agent", "stop", begin + said(1, assign) + said(2, stop));
  out.put("agent", "more",
          begin + said(1, assign) + said(9, more) + said(2, stop) + said(250, Beacon{}));
  out.put("agent", "gap", begin + said(1, more));
  out.put("agent", "again", begin + said(1, assign) + said(1, RegisterAgain{"x"}) + begin);
  out.put("agent", "ack", begin + said(1, assign) + said(3, ResultsAck{{1, 2}}));
  out.put("agent", "failed", said(1, Failed{Code::conflict, "name", "taken", {}, {}}) + begin);
  test::each_message([&]<class T>(std::type_identity<T>, const char* name) {
    if (T::type >= MessageType::registered)
      out.put("agent", name, begin + said(1, test::sample<T>()));
  });
}

template<class Variant, std::size_t I = 0>
void put_alternatives(Writer& out, std::uint64_t how, const char* name, std::string& log) {
  if constexpr (I < std::variant_size_v<Variant>) {
    const std::string body = encode(
      Variant(std::in_place_index<I>, test::sample<std::variant_alternative_t<I, Variant>>()));
    out.put("keeper", name + std::to_string(I), little(how, 1) + body);
    worker::append_frame(log, body);
    put_alternatives<Variant, I + 1>(out, how, name, log);
  }
}
void put_keeper(Writer& out) {
  std::string to, from, records;
  put_alternatives<worker::keeper::ToKeeper>(out, 0, "to", to);
  put_alternatives<worker::keeper::FromKeeper>(out, 1, "from", from);
  put_alternatives<worker::record::Record>(out, 2, "record", records);
  out.put("keeper", "frames_to", little(3, 1) + to);
  out.put("keeper", "frames_from", little(3, 1) + from);
  const std::string path = std::filesystem::temp_directory_path() / "reeve-fuzz-seed.log";
  auto log = worker::KeeperLog::create(path, test::sample<worker::record::Opened>());
  if (!log)
    return;
  log->add(test::sample<worker::record::Intent>());
  log->add(test::sample<worker::record::Started>());
  log->add(test::sample<worker::record::Ended>());
  log->add(test::sample<worker::record::Released>());
  (void)log->flush();
  std::ifstream file(path, std::ios::binary);
  out.put("keeper", "log",
          little(4, 1) +
            std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  std::filesystem::remove(path);
}

void put_rows(Writer& out) {
  for (const std::size_t entries : {1u, 2u, 5u}) {
    journal::Batch batch;
    batch.first = Seq(1);
    for (std::size_t i = 0; i < entries; ++i)
      batch.entries.push_back(encode(a_life()[i]));
    std::string body;
    if (!journal::pack(batch, body))
      continue;
    const auto crc = journal::row_crc(1, static_cast<std::int64_t>(entries), 1, body);
    for (std::uint64_t how = 0; how < 4; ++how)
      out.put("journal_rows", std::to_string(entries) + "_" + std::to_string(how),
              little(how, 1) + little(1, 4) + little(entries, 4) + little(1, 4) +
                little(body.size(), 4) + little(crc, 4) + body);
  }
}

/// The note that a master leaves in the lock of its journal.
std::string a_note() {
  const std::string database = std::filesystem::temp_directory_path() / "reeve-fuzz-seed.db";
  std::string text;
  if (const auto lock = journal::FileLock::take(database)) {
    lock->note("0123456789abcdef", Seq(42));
    std::ifstream file(journal::FileLock::path_of(database), std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::filesystem::remove(journal::FileLock::path_of(database));
  return text;
}

void put_etcd(Writer& out) {
  journal::etcd::Leader leader;
  leader.epoch = Epoch(3);
  leader.name = "m1";
  leader.endpoint = "tcp://m1:7117";
  out.put("etcd_rows", "leader", little(0, 1) + journal::etcd::encode_leader(leader));
  leader.released = true;
  out.put("etcd_rows", "released", little(0, 1) + journal::etcd::encode_leader(leader));
  journal::Batch batch;
  batch.first = Seq(9);
  batch.entries = {encode(a_life()[0]), encode(a_life()[1])};
  journal::etcd::Row row;
  if (journal::pack(batch, row.batch.body)) {
    row.batch.seq = 9;
    row.batch.count = 2;
    row.batch.version = 1;
    row.batch.length = static_cast<std::int64_t>(row.batch.body.size());
    row.batch.crc = journal::row_crc(9, 2, 1, row.batch.body);
    row.epoch = Epoch(3);
    row.batches = {1, 1};
    out.put("etcd_rows", "row", little(1, 1) + journal::etcd::encode_row(row));
    row.parts = 2;
    out.put("etcd_rows", "row_in_parts", little(1, 1) + journal::etcd::encode_row(row));
  }
  out.put("etcd_rows", "head",
          little(2, 1) + journal::etcd::encode_head(
                           {Seq(9), 3, 1'234, journal::etcd::hash_of_snapshot("bytes")}));
  out.put("etcd_rows", "note", little(3, 1) + a_note());
}

void put_proc(Writer& out) {
  const std::string stat = "1234 (a (b) c) S 1 1234 1234 34816 1234 4194304 108 0 0 0 1 2 0 0 20 0 "
                           "1 0 987654321 8990720 1024 18446744073709551615 1 1 0 0 0 0 0\n";
  out.put("keeper", "stat", little(6, 1) + stat);
  out.put("keeper", "stat_short", little(6, 1) + stat.substr(0, 40));
  out.put("keeper", "output_name", little(7, 1) + "7.4294967295.1.out");
}

void put_machine(Writer& out) {
  out.put("machine", "numbers", little(0, 1) + "2248 1036 843 12 0 346 0\n");
  out.put("machine", "children", little(0, 1) + "12 345 6789 ");
  out.put("machine", "events", little(0, 1) + "low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\n");
  const std::string v1 =
    "tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0\n";
  out.put("machine", "version_1",
          little(1, 1) + piece(v1) + "9:memory:/user.slice\n1:name=systemd:/a\n0::/\n");
  const std::string v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev 0 0\n";
  out.put("machine", "version_2", little(1, 1) + piece(v2) + "0::/system.slice/reeve.service\n");
  out.put("machine", "outside", little(1, 1) + piece(v2) + "0::/../../other\n");
  out.put("machine", "use",
          little(2, 1) + piece("cpu  10 0 20 300 40 0 1 0 0 0\ncpu0 10 0 20 300 40\n") +
            "cpu  30 0 40 270 40 0 1 0 0 0\n");
  out.put("machine", "memory",
          little(2, 1) + piece("") + "MemTotal:       16318412 kB\nMemAvailable:   8318412 kB\n");
}

void put_agent_words(Writer& out) {
  out.put("agent_words", "task", little(0, 1) + "5/3");
  out.put("agent_words", "asked", little(0, 1) + "5 3");
  out.put("agent_words", "answer", little(0, 1) + "2 1\n");
  out.put("agent_words", "sleep", little(0, 1) + "1500000");
  worker::AgentConfig config;
  config.name = "n";
  config.executors = {"process", "noop"};
  config.masters = {"tcp://a:7117"};
  out.put("agent_words", "status",
          little(1, 1) + worker::status_json(worker::AgentCore(config), "/state", {}, true));
  out.put("agent_words", "beacon",
          little(1, 1) +
            R"({"name":"n","booked":{"cpu_milli":1},"masters":[{"endpoint":"e","state":)"
            R"("registered","heard_us_ago":5,"trouble":"","beacon":{"draining":true}}]})");
  out.put("agent_words", "no_object", little(1, 1) + "[1]");
  out.put("agent_words", "bare_beacon", little(1, 1) + R"({"masters":[{"beacon":{}}]})");
  std::string specs;
  for (const AssignedSpec& spec :
       {AssignedSpec{JobId(1), Raw{encode(noop(3))}}, AssignedSpec{JobId(2), Raw{encode(noop(1))}},
        AssignedSpec{JobId(1), Raw{"\xc0"}}}) {
    const std::string body = encode(spec);
    specs += little(body.size(), 4) + body;
    out.put("agent_words", "specs_" + std::to_string(specs.size()), little(2, 1) + specs);
  }
}

void put_journal_files(Writer& out) {
  const std::string meta = little(1, 4) + little(0, 4) + little(0, 4);
  std::string rows;
  std::uint64_t seq = 1;
  for (const std::size_t entries : {1u, 2u, 3u}) {
    journal::Batch batch;
    batch.first = Seq(seq);
    for (std::size_t i = 0; i < entries; ++i)
      batch.entries.push_back(encode(a_life()[seq - 1 + i]));
    std::string body;
    if (!journal::pack(batch, body))
      continue;
    rows += little(3, 1) + little(seq, 8) + little(entries, 4) + little(1, 1) + little(0, 8) +
            piece(body);
    seq += entries;
    out.put("journal_file", "rows_" + std::to_string(entries), little(2, 1) + meta + rows);
  }
  const std::string snapshot =
    little(7, 1) + little(2, 8) + little(1, 4) + little(0, 1) + little(0, 8) + piece("bytes");
  out.put("journal_file", "snapshot", little(2, 1) + meta + rows + snapshot);
  out.put("journal_file", "cut", little(2, 1) + little(1, 4) + little(3, 4) + little(3, 4) + rows);
  // https://sqlite.org/fileformat2.html#the_write_ahead_log: pages of 512 bytes, one frame
  const std::string head = std::string("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x02\x00", 12);
  const std::string salts = "saltsalt";
  out.put("journal_file", "log",
          little(1, 1) + head + little(0, 4) + salts + little(0, 8) + little(1, 4) + little(1, 4) +
            salts + little(0, 8) + std::string(512, 'p'));
  out.put("journal_file", "odd_page", // of which no page can be
          little(1, 1) + head.substr(0, 10) + "\x02\x01" + little(0, 4) + salts + little(0, 8) +
            std::string(600, 'p'));
}

} // namespace

void write_seeds(const std::string& folder) {
  Writer out(folder);
  put_messages(out);
  put_entries(out);
  put_gateway(out);
  put_agent(out);
  put_keeper(out);
  put_rows(out);
  put_etcd(out);
  put_proc(out);
  put_machine(out);
  put_agent_words(out);
  put_journal_files(out);
}

} // namespace reeve::fuzz
