#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every #include of the tree follows the layers: base <- ext <- wire <- proto <- core <- api; platform and flow
beside them."""
import os
import re
import sys

# layer -> layers whose headers it may include (besides its own and fzconn/)
LAYERS = {
    "base": [],
    "ext": ["base"],
    "wire": ["base", "ext"],
    "proto": ["base", "ext", "wire"],
    "core": ["base", "ext", "wire", "proto", "flow"],
    "platform": ["base", "ext"],
    "api": ["base", "ext", "wire", "proto", "core", "flow"],
    "flow": ["base", "ext", "wire"],
    "tele": ["base", "ext"],
}
# the C library without sockets, clocks, threads and files
PLAIN = {"assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h",
         "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h"}
# libraries that have their adapter in lib/ext
FOREIGN = re.compile(r"^(openssl/|jansson\.h|wslay/|curl/|ares\.h)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def complaints(root):
    for folder, _, names in os.walk(root):
        for name in names:
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.relpath(os.path.join(folder, name), root)
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
            for match in INCLUDE.finditer(text):
                why = wrong(path, match.group(1) == "<", match.group(2))
                if why:
                    line = text.count("\n", 0, match.start()) + 1
                    yield f"{path}:{line}: {match.group(2)}: {why}"


def wrong(path, system, what):
    """Why this file may not include that, or None."""
    parts = path.split(os.sep)
    if parts[0] == "include":
        sibling = not system and os.path.dirname(path) == os.path.join("include", "fzconn") and "/" not in what
        return None if sibling or what.startswith("fzconn/") or what in PLAIN else "public headers need nothing but C11"
    if parts[0] in ("bin", "examples"):
        own = not system and "/" not in what
        if own or what.startswith("fzconn/") or (system and not what.startswith("fzconn")):
            return None
        return "programs use public headers only"
    if parts[0] != "lib":
        return None
    layer = parts[1]
    if layer not in LAYERS:
        return f"lib/{layer} is not in the list of layers"
    if what.startswith("fzconn/"):
        return None
    if system:
        return wrong_system(path, layer, what)
    target = what.split("/")[0] if "/" in what else layer
    if target == layer or target in LAYERS[layer]:
        return None
    return f"{layer} may not include {target}" if target in LAYERS else f"not a header of a layer"


def wrong_system(path, layer, what):
    if what in PLAIN:
        return None
    if layer == "ext":
        return "foreign types stay out of headers" if path.endswith(".h") and FOREIGN.match(what) else None
    if layer == "platform":
        return "foreign libraries have their adapter in ext" if FOREIGN.match(what) else None
    return f"{layer} knows no sockets, clocks, threads or foreign libraries"


def main():
    found = []
    for top in ("include", "lib", "bin", "examples"):
        found += [each for each in complaints(sys.argv[1]) if each.startswith(top + os.sep)]
    print("\n".join(found) or "every edge is allowed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
