# Which files belong to the tree. Used by every check here; writes nothing.
import pathlib
import subprocess


def tree(root, *suffixes):
    """Paths below `root`, relative to it, sorted: what git tracks or would add, or everything outside build folders."""
    root = pathlib.Path(root)
    git = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=False)
    if git.returncode == 0:
        paths = [pathlib.Path(p) for p in git.stdout.decode().split("\0") if p]
    else:
        paths = [p.relative_to(root) for p in root.rglob("*")]
        paths = [p for p in paths if p.parts[0] not in ("build", ".git")]
    wanted = [p for p in paths if (not suffixes or p.suffix in suffixes) and (root / p).is_file()]
    return sorted(set(wanted))
