// The power fails while the history is written: what a disk may hold then is opened and caught up
// from the journal. Through a VFS of SQLite that remembers what was written and not yet synced.
#include "tests/unit/history/world.hpp"

#include <cstring>
#include <fstream>
#include <map>

namespace reeve::history {
namespace {

/// What a disk holds of one file: surely, and what may or may not have arrived.
struct OnDisk {
  struct Write {
    std::size_t at = 0;
    std::string bytes;
    bool truncates = false; // to `at`
  };
  std::string synced;
  std::vector<Write> since;
  bool removed = false; // that may not have arrived either

  static void apply(std::string& to, const Write& write, std::size_t size) {
    if (write.truncates)
      return to.resize(write.at);
    to.resize(std::max(to.size(), write.at + size));
    to.replace(write.at, size, write.bytes, 0, size);
  }
  void sync() {
    for (const Write& write : since)
      apply(synced, write, write.bytes.size());
    since.clear();
  }
};
using Files = std::map<std::string, std::string>; // by path

/// Passes everything on to the usual VFS. It is the default one as long as this lives.
class PowerCuts {
public:
  PowerCuts(std::mt19937_64& random, std::function<void()> before_write)
      : random_(random), before_write_(std::move(before_write)) {
    vfs_ = *real_;
    vfs_.zName = "power-cuts";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~PowerCuts() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  PowerCuts(const PowerCuts&) = delete;
  PowerCuts& operator=(const PowerCuts&) = delete;

  /// What there would be after a cut now: of what is not synced all up to some write, which is
  /// torn, or any of it, in any case only parts of some.
  Files cut() {
    Files files;
    for (auto& [path, disk] : disks_) {
      if (disk.removed && any(2) == 0)
        continue;
      std::string& bytes = files[path] = disk.synced;
      const bool in_order = any(3) != 0;
      std::size_t arrived = any(disk.since.size() + 1);
      const auto commits = ends_of_commits(disk);
      const bool after_commit = in_order && !commits.empty() && any(3) != 0;
      if (after_commit) // whole transactions are what may be thought to be enough
        arrived = commits[any(commits.size())];
      for (std::size_t k = 0; k < disk.since.size(); ++k) {
        const auto& write = disk.since[k];
        if (in_order ? k > arrived : any(2) == 0)
          continue;
        if (after_commit && k == arrived)
          continue;
        const bool torn = in_order ? k == arrived : any(4) == 0;
        OnDisk::apply(bytes, write, torn ? any(write.bytes.size() + 1) : write.bytes.size());
      }
    }
    return files;
  }

private:
  /// Of a write-ahead log: how many writes there were after each commit. A frame is written as 24
  /// bytes, of which the second word is not 0 at a commit, and a page.
  static std::vector<std::size_t> ends_of_commits(const OnDisk& disk) {
    std::vector<std::size_t> ends;
    for (std::size_t k = 0; k + 1 < disk.since.size(); ++k)
      if (const std::string& frame = disk.since[k].bytes;
          frame.size() == 24 && frame.compare(4, 4, std::string(4, '\0')) != 0)
        ends.push_back(k + 2);
    return ends;
  }
  struct File {
    sqlite3_file base{};
    PowerCuts* all = nullptr;
    OnDisk* disk = nullptr; // none: a temporary file
    [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& file(sqlite3_file* f) { return *reinterpret_cast<File*>(f); }
  static PowerCuts& cuts(sqlite3_vfs* vfs) { return *static_cast<PowerCuts*>(vfs->pAppData); }
  std::size_t any(std::size_t n) { return random_() % n; }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* f, int flags, int* out) {
    PowerCuts& all = cuts(vfs);
    File* mine = new (f) File;
    const int done = all.real_->xOpen(all.real_, path, mine->real(), flags, out);
    if (done != SQLITE_OK)
      return done;
    mine->all = &all;
    if (path != nullptr && (flags & SQLITE_OPEN_DELETEONCLOSE) == 0) {
      const auto [at, fresh] = all.disks_.try_emplace(path);
      if (at->second.removed)
        at->second = {};
      mine->disk = &at->second;
    }
    mine->base.pMethods = &methods();
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync) {
    PowerCuts& all = cuts(vfs);
    if (const auto at = all.disks_.find(path); at != all.disks_.end()) {
      all.before_write_();
      at->second.removed = true;
    }
    return all.real_->xDelete(all.real_, path, sync);
  }
  static int write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
    if (OnDisk* disk = file(f).disk) {
      file(f).all->before_write_();
      disk->since.push_back({static_cast<std::size_t>(at),
                             {static_cast<const char*>(data), static_cast<std::size_t>(size)}});
    }
    return file(f).real()->pMethods->xWrite(file(f).real(), data, size, at);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    if (OnDisk* disk = file(f).disk) {
      file(f).all->before_write_();
      disk->since.push_back({static_cast<std::size_t>(size), {}, true});
    }
    return file(f).real()->pMethods->xTruncate(file(f).real(), size);
  }
  static int sync(sqlite3_file* f, int flags) {
    if (OnDisk* disk = file(f).disk) {
      disk->sync(); // and with it the folder, as file systems with a journal of their own do
      std::erase_if(file(f).all->disks_, [](const auto& one) { return one.second.removed; });
    }
    return file(f).real()->pMethods->xSync(file(f).real(), flags);
  }
  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2; // without files in memory: of these nobody is told what is written
      m.xWrite = write;
      m.xTruncate = truncate;
      m.xSync = sync;
      // The rest is the usual file's.
      m.xClose = [](sqlite3_file* f) { return file(f).real()->pMethods->xClose(file(f).real()); };
      m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
        return file(f).real()->pMethods->xRead(file(f).real(), to, size, at);
      };
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        return file(f).real()->pMethods->xFileSize(file(f).real(), size);
      };
      m.xLock = [](sqlite3_file* f, int lock) {
        return file(f).real()->pMethods->xLock(file(f).real(), lock);
      };
      m.xUnlock = [](sqlite3_file* f, int lock) {
        return file(f).real()->pMethods->xUnlock(file(f).real(), lock);
      };
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
        return file(f).real()->pMethods->xCheckReservedLock(file(f).real(), out);
      };
      m.xFileControl = [](sqlite3_file* f, int what, void* with) {
        return file(f).real()->pMethods->xFileControl(file(f).real(), what, with);
      };
      m.xSectorSize = [](sqlite3_file* f) {
        return file(f).real()->pMethods->xSectorSize(file(f).real());
      };
      m.xDeviceCharacteristics = [](sqlite3_file* f) {
        return file(f).real()->pMethods->xDeviceCharacteristics(file(f).real());
      };
      m.xShmMap = [](sqlite3_file* f, int region, int size, int extend, void volatile** out) {
        return file(f).real()->pMethods->xShmMap(file(f).real(), region, size, extend, out);
      };
      m.xShmLock = [](sqlite3_file* f, int first, int n, int flags) {
        return file(f).real()->pMethods->xShmLock(file(f).real(), first, n, flags);
      };
      m.xShmBarrier = [](sqlite3_file* f) {
        file(f).real()->pMethods->xShmBarrier(file(f).real());
      };
      m.xShmUnmap = [](sqlite3_file* f, int remove_it) {
        return file(f).real()->pMethods->xShmUnmap(file(f).real(), remove_it);
      };
      return m;
    }();
    return all;
  }

  std::mt19937_64& random_;
  std::function<void()> before_write_;
  sqlite3_vfs* real_ = sqlite3_vfs_find(nullptr);
  sqlite3_vfs vfs_{};
  std::map<std::string, OnDisk> disks_; // by path
};

/// Every row of every table, but how lists are cut and which minutes were begun.
Texts everything(const std::string& path) {
  auto db = sqlite::Database::open(path, SQLITE_OPEN_READONLY).value();
  Texts all;
  for (const char* table :
       {"meta WHERE key='last_seq'", "gaps", "kinds", "job_rows", "job_ends", "attempt_runs",
        "output_heads", "node_names", "node_rows", "config_rows", "void_ends", "job_totals",
        "job_name_totals", "attempt_totals", "attempt_name_totals", "node_totals",
        "queue_node_totals", "crowded_slots"}) {
    auto rows = db.prepare("SELECT * FROM " + std::string(table), false).value();
    while (rows.next("test").value()) {
      auto& row = all.emplace_back(table);
      for (int column = 0; column < rows.columns(); ++column)
        row += "|" + std::string(rows.blob_at(column));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

class PowerCut : public testing::TestWithParam<std::uint64_t> {};
/// Rows of each batch are there once and whole, whatever of the writes has arrived; and all that
/// was synced is.
TEST_P(PowerCut, leaves_what_the_journal_completes) {
  SCOPED_TRACE("REEVE_SEED=" + std::to_string(GetParam()));
  std::mt19937_64 random(GetParam());
  constexpr std::size_t block = 40; // so many rows share lists
  World world;
  const TempFolder folder;
  const Life life = random_life(world, random, 250);
  struct Cut {
    Files files;
    Seq synced; // surely there
    Seq given;  // nothing newer can be
  };
  std::vector<Cut> cuts;
  Seq synced, given;
  std::unique_ptr<History> history;
  const std::string path = folder.file("history.db");
  {
    PowerCuts* power = nullptr;
    PowerCuts with_cuts(random, [&] {
      if (power != nullptr && given.value > 0 && random() % 30 == 0)
        cuts.push_back({power->cut(), synced, given});
    });
    for (std::size_t at = 0; at < life.batches.size(); ++at) {
      if (!history || random() % 40 == 0) {
        history.reset(); // checkpoints
        history = History::open(path, block).value();
        power = &with_cuts;
      }
      given = life.batches[at]->last();
      ASSERT_TRUE(history->record(std::span(life.batches).subspan(at, 1)));
      if (random() % 10 == 0) {
        ASSERT_TRUE(history->sync());
        synced = history->last();
      }
    }
    history.reset();
  }
  const Texts wanted = everything(path);
  EXPECT_GT(wanted.size(), 100u);
  ASSERT_GT(cuts.size(), 5u);
  std::size_t rows_lost = 0;
  for (const Cut& cut : cuts) {
    const TempFolder after;
    for (const auto& [file, bytes] : cut.files)
      std::ofstream(after.file(std::filesystem::path(file).filename()), std::ios::binary) << bytes;
    auto opened = History::open(after.file("history.db"), block);
    ASSERT_TRUE(opened) << opened.error().message();
    history = std::move(*opened);
    EXPECT_GE(history->last(), cut.synced);
    EXPECT_LE(history->last(), cut.given);
    rows_lost += history->last() < cut.given;
    for (std::size_t at = 0; at < life.batches.size(); ++at)
      if (life.batches[at]->last() > history->last()) {
        ASSERT_TRUE(history->record(std::span(life.batches).subspan(at, 1)));
      }
    history.reset();
    ASSERT_EQ(everything(after.file("history.db")), wanted) << "cut after " << cut.given.value;
  }
  EXPECT_GT(rows_lost, 0u) << "no cut took anything";
}
INSTANTIATE_TEST_SUITE_P(seeds, PowerCut, testing::Range<std::uint64_t>(1, 3),
                         testing::PrintToStringParamName());

} // namespace
} // namespace reeve::history
