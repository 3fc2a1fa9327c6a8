// See fault_vfs.hpp.
#include "tests/unit/journal/fault_vfs/fault_vfs.hpp"

#include <cstring>
#include <new>
#include <sqlite3.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace reeve::faults {
namespace {

struct Undo {
  sqlite3_int64 offset = 0, size_before = 0;
  std::vector<char> before;
};
struct FaultFile {
  sqlite3_file base;
  sqlite3_file* real;
  std::vector<Undo>* undo; // since the last sync, oldest first
  bool counts;
};

struct State {
  Fault fault = Fault::none;
  std::uint64_t at = 0, count = 0, random = 1;
  bool struck = false;
  std::string only;
  std::vector<FaultFile*> files;
} state;

sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs fault_vfs;

FaultFile* self(sqlite3_file* f) {
  return reinterpret_cast<FaultFile*>(f);
}

bool coin() {
  state.random ^= state.random << 13, state.random ^= state.random >> 7;
  state.random ^= state.random << 17;
  return (state.random & 1u) != 0;
}

void take_back(bool all) {
  for (FaultFile* file : state.files) {
    auto& undo = *file->undo;
    for (auto step = undo.rbegin(); step != undo.rend(); ++step) {
      if (!all && coin())
        continue;
      if (!step->before.empty())
        file->real->pMethods->xWrite(file->real, step->before.data(),
                                     static_cast<int>(step->before.size()), step->offset);
      sqlite3_int64 size = 0;
      file->real->pMethods->xFileSize(file->real, &size);
      if (size > step->size_before && (all || coin()))
        file->real->pMethods->xTruncate(file->real, step->size_before);
    }
  }
}

// Counts one operation. True: it must fail now (the caller knows how). Does not return when the
// process is to die.
bool goes_wrong() {
  if (state.fault == Fault::none)
    return false;
  const std::uint64_t n = ++state.count;
  if (n < state.at)
    return false;
  switch (state.fault) {
  case Fault::die:
    ::_exit(died_as_planned);
  case Fault::drop:
    take_back(true);
    ::_exit(died_as_planned);
  case Fault::scramble:
    take_back(false);
    ::_exit(died_as_planned);
  case Fault::break_once:
    if (n > state.at)
      return false;
    [[fallthrough]];
  default:
    state.struck = true;
    return true;
  }
}

void remember(FaultFile* file, sqlite3_int64 offset, sqlite3_int64 bytes) {
  if (state.fault != Fault::drop && state.fault != Fault::scramble)
    return;
  Undo undo;
  undo.offset = offset;
  file->real->pMethods->xFileSize(file->real, &undo.size_before);
  const sqlite3_int64 kept = std::min(bytes, undo.size_before - offset);
  if (kept > 0) {
    undo.before.resize(static_cast<std::size_t>(kept));
    file->real->pMethods->xRead(file->real, undo.before.data(), static_cast<int>(kept), offset);
  }
  file->undo->push_back(std::move(undo));
}

int x_close(sqlite3_file* f) {
  FaultFile* file = self(f);
  std::erase(state.files, file);
  delete file->undo;
  return file->real->pMethods->xClose(file->real);
}
int x_read(sqlite3_file* f, void* to, int bytes, sqlite3_int64 at) {
  return self(f)->real->pMethods->xRead(self(f)->real, to, bytes, at);
}
int x_write(sqlite3_file* f, const void* from, int bytes, sqlite3_int64 at) {
  FaultFile* file = self(f);
  if (!file->counts)
    return file->real->pMethods->xWrite(file->real, from, bytes, at);
  if (goes_wrong()) {
    // A full or broken disk takes a part of what it is given, as a torn write does.
    file->real->pMethods->xWrite(file->real, from, bytes / 2, at);
    if (state.fault == Fault::tear)
      ::_exit(died_as_planned);
    return state.fault == Fault::full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }
  remember(file, at, bytes);
  return file->real->pMethods->xWrite(file->real, from, bytes, at);
}
int x_truncate(sqlite3_file* f, sqlite3_int64 size) {
  FaultFile* file = self(f);
  if (file->counts && state.fault != Fault::full && goes_wrong()) {
    if (state.fault == Fault::tear)
      ::_exit(died_as_planned);
    return SQLITE_IOERR_TRUNCATE;
  }
  sqlite3_int64 now = 0;
  file->real->pMethods->xFileSize(file->real, &now);
  if (file->counts && size < now)
    remember(file, size, now - size);
  return file->real->pMethods->xTruncate(file->real, size);
}
int x_sync(sqlite3_file* f, int flags) {
  FaultFile* file = self(f);
  if (file->counts && state.fault != Fault::full && goes_wrong()) {
    if (state.fault == Fault::tear)
      ::_exit(died_as_planned);
    return SQLITE_IOERR_FSYNC;
  }
  file->undo->clear();
  return file->real->pMethods->xSync(file->real, flags);
}
int x_size(sqlite3_file* f, sqlite3_int64* size) {
  return self(f)->real->pMethods->xFileSize(self(f)->real, size);
}
int x_lock(sqlite3_file* f, int level) {
  return self(f)->real->pMethods->xLock(self(f)->real, level);
}
int x_unlock(sqlite3_file* f, int level) {
  return self(f)->real->pMethods->xUnlock(self(f)->real, level);
}
int x_reserved(sqlite3_file* f, int* out) {
  return self(f)->real->pMethods->xCheckReservedLock(self(f)->real, out);
}
int x_control(sqlite3_file* f, int op, void* arg) {
  return self(f)->real->pMethods->xFileControl(self(f)->real, op, arg);
}
int x_sector(sqlite3_file* f) {
  return self(f)->real->pMethods->xSectorSize(self(f)->real);
}
int x_device(sqlite3_file* f) {
  return self(f)->real->pMethods->xDeviceCharacteristics(self(f)->real);
}
int x_shm_map(sqlite3_file* f, int page, int bytes, int extend, void volatile** out) {
  return self(f)->real->pMethods->xShmMap(self(f)->real, page, bytes, extend, out);
}
int x_shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return self(f)->real->pMethods->xShmLock(self(f)->real, offset, n, flags);
}
void x_shm_barrier(sqlite3_file* f) {
  self(f)->real->pMethods->xShmBarrier(self(f)->real);
}
int x_shm_unmap(sqlite3_file* f, int remove) {
  return self(f)->real->pMethods->xShmUnmap(self(f)->real, remove);
}

const sqlite3_io_methods methods = {
  2,          x_close,       x_read,      x_write,   x_truncate, x_sync,   x_size,
  x_lock,     x_unlock,      x_reserved,  x_control, x_sector,   x_device, x_shm_map,
  x_shm_lock, x_shm_barrier, x_shm_unmap, nullptr,   nullptr};

int x_open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* f, int flags, int* out_flags) {
  FaultFile* file = self(f);
  file->base.pMethods = nullptr;
  file->real = reinterpret_cast<sqlite3_file*>(file + 1);
  const int code = real_vfs->xOpen(real_vfs, name, file->real, flags, out_flags);
  if (code != SQLITE_OK)
    return code;
  file->undo = new std::vector<Undo>;
  file->counts = state.only.empty() || (name && std::strstr(name, state.only.c_str()));
  file->base.pMethods = &methods;
  state.files.push_back(file);
  return SQLITE_OK;
}
int x_delete(sqlite3_vfs*, const char* name, int sync) {
  if (state.fault != Fault::full && goes_wrong()) {
    if (state.fault == Fault::tear)
      ::_exit(died_as_planned);
    return SQLITE_IOERR_DELETE;
  }
  return real_vfs->xDelete(real_vfs, name, sync);
}

} // namespace

void install_fault_vfs() {
  real_vfs = sqlite3_vfs_find(nullptr);
  fault_vfs = *real_vfs;
  fault_vfs.pNext = nullptr;
  fault_vfs.zName = "reeve-fault";
  fault_vfs.szOsFile = static_cast<int>(sizeof(FaultFile)) + real_vfs->szOsFile;
  fault_vfs.xOpen = x_open;
  fault_vfs.xDelete = x_delete;
  sqlite3_vfs_register(&fault_vfs, 1);
}
void remove_fault_vfs() {
  disarm();
  sqlite3_vfs_unregister(&fault_vfs);
  sqlite3_vfs_register(real_vfs, 1);
}
void arm(Fault fault, std::uint64_t at, std::uint64_t seed, const std::string& only) {
  state.fault = fault;
  state.at = at;
  state.count = 0;
  state.random = seed * 2 + 1;
  state.struck = false;
  state.only = only;
}
void disarm() {
  state.fault = Fault::none;
}
std::uint64_t operations() {
  return state.count;
}
bool struck() {
  return state.struck;
}

} // namespace reeve::faults
