// Runs saved inputs through a fuzz target, and each of them with bytes changed, so that every `make
// test` looks a little further. Usage: reeve_fuzz_replay TARGET FOLDER (called by ctest), or
// --seeds FOLDER.
#include "tests/fuzz/seeds.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string changed(std::string bytes, std::mt19937_64& random) {
  const auto any = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::size_t times = any(4) + 1; times > 0 && !bytes.empty(); --times) {
    switch (any(5)) {
    case 0:
      bytes[any(bytes.size())] = static_cast<char>(random());
      break;
    case 1:
      bytes[any(bytes.size())] ^= static_cast<char>(1u << any(8));
      break;
    case 2:
      bytes.erase(any(bytes.size()), any(8) + 1);
      break;
    case 3:
      bytes.insert(any(bytes.size() + 1), any(8) + 1, static_cast<char>(random()));
      break;
    default: // a part comes twice
      bytes.insert(any(bytes.size() + 1), bytes.substr(any(bytes.size()), any(64) + 1));
    }
  }
  return bytes;
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--seeds") {
    reeve::fuzz::write_seeds(argv[2]);
    return 0;
  }
  if (argc != 3 || !reeve::fuzz::targets().contains(argv[1])) {
    std::fputs("usage: reeve_fuzz_replay TARGET FOLDER\ntargets:", stderr);
    for (const auto& [name, target] : reeve::fuzz::targets())
      std::fprintf(stderr, " %s", name.c_str());
    std::fputs("\n", stderr);
    return 2;
  }
  const auto target = reeve::fuzz::targets().at(argv[1]);
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2], error))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::mt19937_64 random(2025);
  std::size_t inputs = 0;
  target("");
  for (const auto& file : files) {
    std::printf("%s\n", file.filename().c_str()); // the last one, when the target ends the process
    std::fflush(stdout);
    const std::string bytes = read(file);
    target(bytes);
    ++inputs;
    for (int round = 0; round < 100; ++round, ++inputs)
      target(changed(bytes, random));
  }
  std::printf("%s: %zu files, %zu inputs\n", argv[1], files.size(), inputs);
  if (files.size() < 5) {
    std::fprintf(stderr, "reeve_fuzz_replay: %s holds too few inputs to mean anything\n", argv[2]);
    return 1;
  }
  return 0;
}
