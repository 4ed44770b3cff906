"""Write the two programs into a directory: python contrib/launchers.py BIN

Run by the interpreter of the environment that annexshell is installed in. The programs start
that interpreter with -I and -S: no variable of the environment and no file of the user's
decides what is loaded, and starting takes a third less, which every refused command and
every clone feels.
"""

from __future__ import annotations

import os
import sys
import sysconfig

PROGRAMS = {"annexshell": "warm.launcher", "annexshell-admin": "cli.admin"}
TEXT = """\
#!{python} -IS
import sys
sys.path += {packages!r}
from annexshell.{module} import main
sys.exit(main())
"""


def write(directory: str) -> None:
    """Write both programs; each takes the place of what was there at once."""
    paths = sysconfig.get_paths()
    packages = list(dict.fromkeys((paths["purelib"], paths["platlib"])))
    os.makedirs(directory, exist_ok=True)
    for name, module in PROGRAMS.items():
        text = TEXT.format(python=sys.executable, packages=packages, module=module)
        new = os.path.join(directory, f".{name}.new")
        with open(new, "w", encoding="utf-8") as program:
            program.write(text)
        os.chmod(new, 0o755)
        os.replace(new, os.path.join(directory, name))


if __name__ == "__main__":
    write(sys.argv[1])
