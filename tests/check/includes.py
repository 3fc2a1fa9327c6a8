# Which folder may include what: the map of the architecture as a test. A folder that is not in the table fails.
# /usr/include would let <caf/all.hpp> into src/core unseen, so the compiler cannot watch this. Usage: includes.py ROOT
import pathlib
import re
import sys

from files import tree

# What a name in angle brackets belongs to. Order matters: the first prefix that fits.
LIBRARIES = [
    ("caf/", "caf"), ("zmq", "zmq"), ("msgpack", "msgpack"), ("tl/", "expected"), ("sqlite3", "sqlite3"),
    ("spdlog/", "spdlog"), ("CLI/", "cli11"), ("toml++/", "toml"), ("nlohmann/", "json"), ("xxhash", "xxhash"),
    ("httplib", "httplib"), ("prometheus/", "prometheus"), ("ncurses", "ncurses"), ("curses", "ncurses"),
    ("gtest/", "gtest"), ("gmock/", "gtest"), ("benchmark/", "benchmark"), ("reeve/", "reeve"),
    ("grpcpp/", "grpc"), ("etcd/", "grpc"),
]
# Parts of the standard library that wait, share between threads, or touch the outside.
IMPURE = set("""atomic barrier condition_variable csignal filesystem fstream future iostream latch mutex semaphore
                shared_mutex stop_token syncstream thread""".split())
CLOCK = re.compile(r"::now\s*\(|\bclock_gettime\b|\bgettimeofday\b|\bstd::time\s*\(|\btime\s*\(\s*(nullptr|NULL|0)\s*\)")


class May:
    """`own`: folders of this tree besides itself; `libs`: libraries besides the standard one. pure: no clock, thread or I/O."""

    def __init__(self, own="", libs="", pure=False, clock=False):
        self.own, self.libs, self.pure, self.clock = own.split(), set(libs.split()), pure, clock


RULES = {
    "messages": May("", "msgpack expected", pure=True),
    "src/core": May("messages", "xxhash", pure=True),
    "src/sched": May("messages src/core src/util", "", pure=True),
    "src/deciders": May("messages src/core src/sched src/util", "", pure=True),
    "src/events": May("messages src/core", "", pure=True),
    "src/gateway": May("messages src/core src/ledger src/net", ""),
    "src/ledger": May("messages src/core src/journal", "system"),
    "src/journal": May("messages src/sqlite src/util", "xxhash sqlite3 grpc system", clock=True),
    "src/standby": May("messages src/core src/gateway src/journal src/ledger src/net", "zmq system", clock=True),
    "src/sqlite": May("messages", "sqlite3 system"),
    "src/history": May("messages src/core src/sqlite src/util", "sqlite3 system"),
    "src/util": May("messages", "json expected toml system"),
    "src/log": May("messages src/util", "spdlog"),
    "src/net": May("messages src/util", "zmq system", clock=True),
    "src/client": May("messages src/net src/util", "zmq system", clock=True),
    "src/config": May("messages src/util src/deciders", "cli11 toml system"),
    "src/cli": May("messages src/client src/util src/journal src/ledger src/sched src/history", "cli11 toml json ncurses system", clock=True),
    "src/master": May("messages src actors", "spdlog json system", clock=True),
    "actors": May("messages src", "caf spdlog system", clock=True),
    "agents/worker": May("messages src/net src/util src/log", "spdlog cli11 xxhash json system", clock=True),
    "agents/dashboard": May("messages src/client src/util src/log", "httplib prometheus spdlog cli11 json system", clock=True),
    # A program of a user's own has nothing but the installed headers.
    "examples": May("", "reeve system", clock=True),
}


def folder_of(path):
    parts = pathlib.PurePosixPath(path).parts
    wanted = 2 if parts[0] in ("src", "agents") else 1
    return "/".join(parts[:min(wanted, len(parts) - 1)])


def library_of(header):
    for prefix, name in LIBRARIES:
        if header.startswith(prefix):
            return name
    return "system" if header.endswith(".h") or "/" in header else "std"


def code_lines(text):
    """Lines without comments and string contents, numbers kept."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#include"):
            yield number, line.split("//")[0] if "<" in line or line.count('"') == 2 else line
        else:
            yield number, re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


def complaint(folder, may, line):
    """What is wrong with this line of a file in `folder`; None when nothing is."""
    include = re.match(r'\s*#include\s+([<"])([^>"]+)[>"]', line)
    if not include:
        if not may.clock and CLOCK.search(line):
            return "reads a clock: time comes as an argument here"
        return None
    angled, name = include.group(1) == "<", include.group(2)
    if not angled:
        target = folder_of(name)
        if target == folder or target in may.own or name == "src/version.hpp":
            return None
        if "src" in may.own and target.startswith("src/"):
            return None
        return f'may not use "{name}"'
    library = library_of(name)
    if library == "std":
        return f"may not use <{name}>: no clock, thread or I/O here" if may.pure and name in IMPURE else None
    return None if library in may.libs else f"may not use <{name}>"


def offences(root):
    for path in tree(root, ".hpp", ".cpp", ".h"):
        name = path.as_posix()
        if path.parts[0] not in ("messages", "src", "actors", "agents", "examples"):
            continue
        folder = folder_of(name)
        if folder not in RULES:
            yield f"{name}:1: the folder {folder} is not in the table of tests/check/includes.py"
            continue
        text = (pathlib.Path(root) / path).read_text(encoding="utf-8")
        for number, line in code_lines(text):
            if what := complaint(folder, RULES[folder], line):
                yield f"{name}:{number}: {folder} {what}"


def main():
    found = list(offences(sys.argv[1]))
    print("\n".join(found) or "every folder uses only what it may")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
