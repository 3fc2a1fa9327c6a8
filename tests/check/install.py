# `make install` gives a program of a user's own all that it needs: the examples build from the installed files alone, once with
# find_package(reeve) and once with pkg-config. Usage: install.py ROOT BUILD CMAKE CXX
import os
import pathlib
import subprocess
import sys
import tempfile


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=100, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    root, build, cmake, cxx = sys.argv[1:]
    examples = pathlib.Path(root) / "examples"
    with tempfile.TemporaryDirectory(prefix="reeve-install-") as folder:
        prefix, out = pathlib.Path(folder) / "prefix", pathlib.Path(folder) / "build"
        run(cmake, "--install", build, "--prefix", prefix, "--component", "client")
        run(cmake, "--install", build, "--prefix", prefix, "--component", "documentation")
        run(cmake, "-S", examples, "-B", out, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_CXX_COMPILER={cxx}")
        run(cmake, "--build", out, "--target", "example_reserve")

        pkg_config = next(prefix.rglob("reeve.pc")).parent
        flags = run("pkg-config", "--cflags", "--libs", "reeve", env=os.environ | {"PKG_CONFIG_PATH": str(pkg_config)}).split()
        run(cxx, "-std=c++20", "-O0", examples / "monte_carlo.cpp", "-o", out / "monte_carlo", *flags)
        for program in ("reserve", "monte_carlo"):
            done = subprocess.run([out / program, "1"], env=os.environ | {"REEVE_MASTER": "tcp://127.0.0.1:x"},
                                  capture_output=True, text=True, check=False, timeout=30)
            if done.returncode != 1 or "master: not an endpoint" not in done.stderr:
                sys.exit(f"{program} answers a wrong endpoint with code {done.returncode}: {done.stderr}")
        for page in ("man1/reeve.1", "man8/reeved.8", "man8/reeve-agent.8"):
            if not next(prefix.rglob(f"share/man/{page}"), None):
                sys.exit(f"{page} is not installed")
    print("programs build from what is installed, by find_package and by pkg-config")


if __name__ == "__main__":
    main()
