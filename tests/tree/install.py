#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `meson install` leaves is complete, and usable by those who have nothing else.
Usage: install.py SOURCE BUILD CC [CXX]"""
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD, CC, CXX = None, None, None, None

PROGRAM = r"""
#include <fzconn/fzconn.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct fz_addr addr;
	char text[FZ_ADDR_STRLEN];

	if (fz_addr_parse("[2001:db8::1]:443", &addr) != 0 || strcmp(fz_version(), FZCONN_VERSION) != 0)
		return 1;
	printf("%s %s\n", fz_version(), fz_addr_format(&addr, text));
	return 0;
}
"""


def run(*argv, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="fz-install-")
        cls.dest = os.path.join(cls.folder.name, "root")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.dest)
        cls.files = sorted(os.path.relpath(os.path.join(folder, name), cls.dest)
                           for folder, _, names in os.walk(cls.dest) for name in names)
        cls.pc = next(os.path.dirname(f) for f in cls.files if f.endswith("/fzconn.pc"))
        cls.lib = os.path.join(cls.dest, os.path.dirname(cls.pc))
        cls.prefix = cls.files[0].partition("/bin/")[0]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def pkg_config(self, *words):
        path = os.path.join(self.dest, self.pc)
        others = run("pkg-config", "--variable=pc_path", "pkg-config").strip()
        out = run("pkg-config", *words, "fzconn", env={"PKG_CONFIG_LIBDIR": f"{path}:{others}"})
        # The prefix is that of the installed tree; it has not been moved to its place.
        return [re.sub(rf"^(-[IL])/{self.prefix}(?=/|$)", rf"\1{self.dest}/{self.prefix}", word) for word in shlex.split(out)]

    def build(self, compiler, suffix, *flags):
        source, program = (os.path.join(self.folder.name, "program" + each) for each in (suffix, ""))
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        run(*shlex.split(compiler), "-Wall", "-Wextra", "-Werror", source, "-o", program, *self.pkg_config("--cflags"), *flags)
        out = run(program, env={"LD_LIBRARY_PATH": self.lib})
        self.assertRegex(out, r"\A\d+\.\d+\.\d+ \[2001:db8::1\]:443\n\Z")
        return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program))

    def test_headers(self):
        have = [f for f in self.files if "/include/" in f]
        want = [f"{self.prefix}/include/fzconn/{name}" for name in sorted(os.listdir(os.path.join(SOURCE, "include", "fzconn")))]
        self.assertEqual(have, want)

    def test_libraries(self):
        here = sorted(name for name in os.listdir(self.lib) if name.startswith("libfzconn"))
        version = self.pkg_config("--modversion")[0]
        self.assertEqual(here, ["libfzconn.a", "libfzconn.so", "libfzconn.so.0", f"libfzconn.so.{version}"])
        self.assertEqual(os.readlink(f"{self.lib}/libfzconn.so"), "libfzconn.so.0")
        self.assertEqual(os.readlink(f"{self.lib}/libfzconn.so.0"), f"libfzconn.so.{version}")
        self.assertIn("[libfzconn.so.0]", run("readelf", "-d", f"{self.lib}/libfzconn.so.{version}"))

    def test_shared(self):
        libs = self.pkg_config("--libs")
        self.assertEqual([word for word in libs if word.startswith("-l")], ["-lfzconn"])
        self.assertIn("libfzconn.so.0", self.build(CC, ".c", *libs))
        if CXX:
            self.assertIn("libfzconn.so.0", self.build(CXX, ".cc", *libs))

    def test_static(self):
        libs = ["-l:libfzconn.a" if word == "-lfzconn" else word for word in self.pkg_config("--static", "--libs")]
        self.assertNotIn("libfzconn.so.0", self.build(CC, ".c", *libs))
        if CXX:
            self.assertNotIn("libfzconn.so.0", self.build(CXX, ".cc", *libs))

    def test_programs(self):
        self.assertEqual([f for f in self.files if "/bin/" in f], [f"{self.prefix}/bin/fz-client", f"{self.prefix}/bin/fz-gateway"])
        for name in "fz-client", "fz-gateway":
            out = run(f"{self.dest}/{self.prefix}/bin/{name}", "--version", env={"LD_LIBRARY_PATH": self.lib})
            self.assertEqual(out.split(), [name, *self.pkg_config("--modversion")])
        self.assertFalse([f for f in self.files if "devportal" in f])

    def test_nothing_else(self):
        known = ("/bin/fz-", "/include/fzconn/", "/libfzconn.", "/pkgconfig/fzconn.pc", "/man/man8/fz-", "/man/man3/fzconn.3", "/man/man5/fzconn-files.5", "/bash-completion/completions/fz-",
                 "/zsh/site-functions/_fz-", "/fish/vendor_completions.d/fz-")
        self.assertEqual([f for f in self.files if not any(each in f for each in known)], [])
        for name in "fz-client", "fz-gateway":
            for path in (f"bash-completion/completions/{name}", f"zsh/site-functions/_{name}", f"fish/vendor_completions.d/{name}.fish"):
                self.assertTrue([f for f in self.files if f.endswith(path)], path)


if __name__ == "__main__":
    SOURCE, BUILD, CC = sys.argv[1:4]
    CXX = sys.argv[4] if len(sys.argv) > 4 else None
    unittest.main(argv=sys.argv[:1])
