# Every C++ file looks as .clang-format says. Usage: formatted.py ROOT CLANG_FORMAT
import subprocess
import sys

from files import tree


def main():
    root, clang_format = sys.argv[1:3]
    files = [p.as_posix() for p in tree(root, ".hpp", ".cpp")]
    bad = []
    for start in range(0, len(files), 50):
        run = subprocess.run([clang_format, "--dry-run", "-Werror", "--ferror-limit=1", *files[start:start + 50]],
                             cwd=root, capture_output=True, text=True, check=False)
        bad += [line for line in run.stderr.split("\n") if "error:" in line]
    print("\n".join(bad + ["Run `make format`."]) if bad else f"{len(files)} files are formatted")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
