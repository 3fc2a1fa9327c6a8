# The manual pages name every command and option of the programs, and none that they do not have. Nothing is run but `--help`.
# Usage: man.py ROOT REEVE REEVED REEVE_AGENT REEVE_DASHBOARD
import pathlib
import re
import sys

from commands import PROGRAMS, Programs

PAGES = {"reeve": "reeve.1", "reeved": "reeved.8", "reeve-agent": "reeve-agent.8",
         "reeve-dashboard": "reeve-dashboard.8"}
INTERNAL = {"keeper"}  # started by the agent, never typed


def plain(text):
    """The words of a page: without macros, quotes of their arguments and font changes."""
    lines = [line for line in text.split("\n") if not line.startswith((".\\\"", "'\\\""))]
    text = re.sub(r"\\f[A-Z]", "", "\n".join(lines))
    text = re.sub(r"^\.[A-Z]+ ", "", text, flags=re.M)
    return re.sub(r'[" ]+', " ", text.replace("\\(dq", '"').replace("\\-", "-"))


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def places(programs, program, path=()):
    """(path, options) of every command."""
    text = programs.help(program, *path)
    section = re.search(r"^Options:\n(.*?)(\n\S|\Z)", text, flags=re.S | re.M)
    yield path, options("\n".join(line[:34] for line in section.group(1).split("\n"))) if section else set()
    for name in sorted(programs.subcommands(text) - INTERNAL):
        yield from places(programs, program, path + (name,))


def offences(root, programs):
    for program in PROGRAMS:
        name = f"docs/man/{PAGES[program]}"
        page = plain((pathlib.Path(root) / name).read_text(encoding="utf-8"))
        known = set()
        for path, has in places(programs, program):
            known |= has
            if path and not re.search(rf"(?<![\w-]){' '.join(path)}(?![\w-])", page):
                yield f"{name}: nothing about {program} {' '.join(path)}"
            for option in sorted(has - options(page)):
                yield f"{name}: nothing about {option} of {' '.join((program, *path))}"
        for other in PROGRAMS:  # a page may name another program's option
            if other != program and other in page:
                known |= {o for _, has in places(programs, other) for o in has}
        for option in sorted(options(page) - known):
            yield f"{name}: {option} is no option"


def main():
    root, *paths = sys.argv[1:]
    found = list(offences(root, Programs(paths)))
    print("\n".join(found) or "the manual pages name every command and option")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
