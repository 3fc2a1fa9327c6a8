# Nothing in the tree names the machine it was written on, a package host, or work left undone. Usage: tree.py ROOT
import pathlib
import re
import sys

from files import tree

RULES = [
    (re.compile(r"(?<![\w.}/)$*])/(work|root|home/\w+)/"), "a path of somebody's machine"),
    (re.compile(r"\b(deb\.debian\.org|archive\.ubuntu\.com|pypi\.org|pythonhosted\.org|npmjs\.(org|com)|"
                r"proxy\.golang\.org|crates\.io|docker\.io|ghcr\.io|quay\.io)\b"), "a package host"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "unfinished work"),
    (re.compile(r"\b(DISABLED_\w|GTEST_SKIP\b)|@unittest\.skip|\bskipTest\b"), "a test that does not run"),
]
OWN = "tests/check/"  # these files spell out what they look for


def offences(root):
    for path in tree(root):
        name = path.as_posix()
        if name.startswith(OWN):
            continue
        try:
            text = (pathlib.Path(root) / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a corpus or golden bytes
        for number, line in enumerate(text.split("\n"), 1):
            for pattern, what in RULES:
                if found := pattern.search(line):
                    yield f"{name}:{number}: {what}: {found.group().strip()}"


def main():
    found = list(offences(sys.argv[1]))
    print("\n".join(found) or "nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
