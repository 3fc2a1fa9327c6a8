// Fresh working directories. See keeper_dirs.hpp.
#include "agents/worker/keeper_dirs.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace reeve::worker {
namespace {

constexpr mode_t dir_mode = 0700;
constexpr std::size_t free_max = 1024;

bool untouched(const WorkDir& dir) {
  const Fd fd(::open(dir.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || (st.st_mode & 07777) != dir_mode ||
      st.st_uid != ::geteuid() || st.st_ctim.tv_sec != dir.made.tv_sec ||
      st.st_ctim.tv_nsec != dir.made.tv_nsec)
    return false;
  // The clock of change times is coarse (4 ms here): within one tick only looking tells. Two
  // entries are "." and "..".
  alignas(dirent64) std::array<char, 512> buffer;
  unsigned entries = 0;
  for (;;) {
    const long n = ::syscall(SYS_getdents64, fd.get(), buffer.data(), buffer.size());
    if (n <= 0)
      return n == 0 && entries == 2;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      if (++entries > 2)
        return false;
    }
  }
}

void remove_tree(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT)
    return;
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error)
    return;
  // Directories that a task made unreadable: give them back their mode, then once more.
  namespace fs = std::filesystem;
  ::chmod(path.c_str(), dir_mode);
  for (fs::recursive_directory_iterator
         it(path, fs::directory_options::skip_permission_denied, error),
       end;
       it != end; it.increment(error)) {
    if (error)
      break;
    if (it->is_directory(error) && !it->is_symlink(error)) {
      fs::permissions(it->path(), fs::perms::owner_all, error);
    }
  }
  fs::remove_all(path, error);
  if (error)
    std::fprintf(stderr, "working directory %s stays: %s\n", path.c_str(), error.message().c_str());
}

} // namespace

WorkDirs::WorkDirs(std::string base) : base_(std::move(base)) {
  // Set aside in one step and removed beside the work, as there may be much of it.
  std::error_code error;
  ::mkdir(base_.c_str(), dir_mode);
  for (const auto& entry : std::filesystem::directory_iterator(base_, error))
    dirty_.push_back(entry.path());
  for (std::size_t k = 0; k < dirty_.size(); ++k) {
    std::string aside = base_ + "/old." + std::to_string(::getpid()) + "." + std::to_string(k);
    if (::rename(dirty_[k].c_str(), aside.c_str()) == 0)
      dirty_[k] = std::move(aside);
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  cleaner_ = std::thread([this] { clean(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

WorkDirs::~WorkDirs() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (auto& dir : free_)
      dirty_.push_back(std::move(dir.path));
    free_.clear();
  }
  wake_.notify_one();
  cleaner_.join();
}

void WorkDirs::clean() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !dirty_.empty(); });
    if (dirty_.empty())
      return;
    const std::vector<std::string> now = std::exchange(dirty_, {});
    lock.unlock();
    for (const std::string& path : now)
      remove_tree(path);
    lock.lock();
  }
}

Result<WorkDir> WorkDirs::take() {
  WorkDir dir;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      dir = std::move(free_.back());
      free_.pop_back();
      return dir;
    }
    dir.path = base_ + "/" + std::to_string(next_++);
  }
  struct stat st {};
  // chmod: whatever the umask says
  if (::mkdir(dir.path.c_str(), dir_mode) != 0 || ::chmod(dir.path.c_str(), dir_mode) != 0 ||
      ::stat(dir.path.c_str(), &st) != 0)
    return io_error("cannot make the working directory " + dir.path, errno);
  dir.made = st.st_ctim;
  return dir;
}

void WorkDirs::give_back(WorkDir dir) {
  const bool again = untouched(dir);
  {
    const std::lock_guard lock(mutex_);
    if (again && free_.size() < free_max) {
      free_.push_back(std::move(dir));
      return;
    }
    dirty_.push_back(std::move(dir.path));
  }
  wake_.notify_one();
}

} // namespace reeve::worker
