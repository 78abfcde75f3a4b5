"""What a program was built from: instruction counts compare only between equals."""

import os
import re

from script import CannotRunHere, Failed

COMPILERS = {"Clang": rb"clang version (\d+)\.", "GCC": rb"GCC: \([^)]*\) (\d+)\."}
COUNTED = {"CMAKE_BUILD_TYPE": "Release", "COIR_MARCH": "", "COIR_LTO": "ON", "COIR_SANITIZE": ""}


class Unknown(CannotRunHere):
    pass


class NotCountable(Failed):
    pass


def _cache(program):
    """The CMake cache of the build directory that the program lies in."""
    directory = os.path.dirname(os.path.abspath(program))
    while directory != "/":
        path = os.path.join(directory, "CMakeCache.txt")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return dict(re.findall(r"^([\w-]+):\w+=(.*)$", file.read(), re.MULTILINE))
        directory = os.path.dirname(directory)
    raise Unknown(f"there is no CMakeCache.txt above {program}")


def _compiler(program):
    with open(program, "rb") as file:
        text = file.read()
    # The .comment section; where Clang has compiled, the C library's start-up code still is GCC's.
    for name, pattern in COMPILERS.items():
        if majors := {int(major) for major in re.findall(pattern, text)}:
            return f"{name} {max(majors)}"
    raise Unknown(f"{program} does not say which compiler made it")


def _llhttp(cache):
    path = os.path.join(cache.get("LLHTTP_INCLUDE_DIR", ""), "llhttp.h")
    try:
        with open(path, encoding="utf-8") as file:
            parts = dict(re.findall(r"define LLHTTP_VERSION_(\w+) (\d+)", file.read()))
        return "llhttp " + ".".join(parts[part] for part in ("MAJOR", "MINOR", "PATCH"))
    except (OSError, KeyError) as error:
        raise Unknown(f"no version of llhttp in {path}") from error


def _boost(cache):
    if found := re.search(r"-(\d+\.\d+)\.\d+$", cache.get("Boost_DIR", "")):
        return f"Boost {found[1]}"
    raise Unknown("no version of Boost in CMakeCache.txt")


def _allocator(program):
    with open(program, "rb") as file:
        return "mimalloc" if b"libmimalloc.so" in file.read() else "libc's allocator"


def key(program):
    """One line; raises Unknown, or NotCountable if the build is not one to count."""
    cache = _cache(program)
    wrong = [f"{name}={cache.get(name)}" for name in COUNTED if cache.get(name) != COUNTED[name]]
    if wrong:
        raise NotCountable(
            f"{program} was built with {', '.join(wrong)};"
            " instructions are counted of the release preset with -DCOIR_MARCH="
        )
    libc = os.confstr("CS_GNU_LIBC_VERSION").split()[-1]
    parts = (_compiler(program), _boost(cache), _llhttp(cache), _allocator(program))
    return ", ".join((*parts, f"libc {libc}"))
