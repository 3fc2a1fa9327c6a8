# Every relative link in a Markdown file leads to a file, and to a heading where it names one. Usage: links.py ROOT
import pathlib
import re
import sys

from files import tree

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text):
    """The text without fenced blocks and code spans, line numbers kept."""
    text = re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), text, flags=re.S | re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    heads = re.findall(r"^#+\s+(.*?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def offences(root):
    root = pathlib.Path(root)
    for path in tree(root, ".md"):
        text = (root / path).read_text(encoding="utf-8")
        for number, line in enumerate(prose(text).split("\n"), 1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                file, _, anchor = target.partition("#")
                wanted = (root / path).parent / file if file else root / path
                if not wanted.exists():
                    yield f"{path}:{number}: no such file: {target}"
                elif anchor and wanted.suffix == ".md" and anchor not in anchors(wanted.read_text(encoding="utf-8")):
                    yield f"{path}:{number}: no such heading: {target}"


def main():
    found = list(offences(sys.argv[1]))
    print("\n".join(found) or "every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
