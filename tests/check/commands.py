# Every `reeve …`, `reeved …`, `reeve-agent …` and `reeve-dashboard …` in the documents is one that the programs take: its nouns and verbs exist, and
# its flags stand in their help. Nothing is run but `--help`. Usage: commands.py ROOT REEVE REEVED REEVE_AGENT REEVE_DASHBOARD
import functools
import pathlib
import re
import shlex
import subprocess
import sys

from files import tree

PROGRAMS = ("reeve", "reeved", "reeve-agent", "reeve-dashboard")
STOP = set("| || & && ; > >> < 2> ( )".split())


def words(line):
    """One shell command's words, up to a pipe or redirection; None when it is not shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found = []
    try:
        for word in lexer:
            if word in STOP:
                break
            found.append(word)
    except ValueError:
        return None
    while found and re.match(r"\w+=", found[0]):
        found.pop(0)
    return found


def commands_in(text):
    """(line number, words) of each command in fenced blocks and code spans of a Markdown text."""
    fence, pending, start = None, "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            fence = None if fence is not None else line[3:].strip()
            continue
        if fence is None:
            spans = re.findall(r"`([^`]+)`", line)
        elif fence in ("console", "sh", "bash", "shell"):
            shown = line[2:] if line.startswith("$ ") else line if fence != "console" or pending else ""
            if not pending:
                start = number
            pending += shown.rstrip("\\") if shown.endswith("\\") else shown
            if shown.endswith("\\"):
                continue
            spans, number, pending = [pending], start, ""
        else:
            continue
        for span in spans:
            found = words(span.strip())
            if found and found[0] in PROGRAMS and len(found) > 1 and "…" not in span:
                yield number, found


class Programs:
    def __init__(self, paths):
        self.paths = dict(zip(PROGRAMS, paths))

    @functools.lru_cache(maxsize=None)
    def help(self, program, *path):
        run = subprocess.run([self.paths[program], *path, "--help"], capture_output=True, text=True, check=False,
                             timeout=20)
        return run.stdout if run.returncode == 0 else None

    def subcommands(self, text):
        section = re.search(r"^Subcommands:\n(.*?)(\n\S|\Z)", text, flags=re.S | re.M)
        return set(re.findall(r"^  (\S+)", section.group(1), flags=re.M)) if section else set()

    def complaint(self, command):
        """What is wrong with it; None when nothing is."""
        program, path = command[0], []
        known = self.help(program) or ""
        names = self.subcommands(known)
        for word in command[1:]:
            if word == "--":
                break
            if word.startswith("-") and len(word) > 1:
                flag = word.split("=")[0]
                if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", known) and flag != "--help":
                    return f"no flag {flag} of {' '.join([program, *path])}"
            elif names and word in names:
                path.append(word)
                text = self.help(program, *path)
                if text is None:
                    return f"{' '.join([program, *path])} --help fails"
                known, names = known + text, self.subcommands(text)
        if names and program == "reeve" and not re.search(r"--(help|version)", " ".join(command)):
            return f"no such command: {' '.join(command[:3])}"
        return None


def main():
    root, *paths = sys.argv[1:]
    programs, bad, count = Programs(paths), [], 0
    for path in tree(root, ".md"):
        for number, command in commands_in((pathlib.Path(root) / path).read_text(encoding="utf-8")):
            count += 1
            if what := programs.complaint(command):
                bad.append(f"{path}:{number}: {what}")
    print("\n".join(bad) or f"{count} commands in the documents are accepted")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
