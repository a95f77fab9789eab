"""The guest's whole userland: busybox, some modules and programs, one shell loop."""

import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from process import Failure, run
from unpacked import PROGRAMS, WITH_LIBRARIES

BUSYBOX = "/bin/busybox"
FOLDERS = ("bin", "dev", "modules", "proc", "run", "sys", "tmp", "usr/sbin")

# Kernel messages go to the first serial port, commands and answers over the second. An answer is
# the output, a record separator and the exit status.
INIT = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
for module in /modules/*; do insmod "$module"; done
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1
printf '\\036%d\\n' 0
# In a process of its own: the first one inherits orphans, and busybox's `read` forgets what it has
# read when a child ends.
(
    while read -r command; do
        sh -c "$command" </dev/null
        printf '\\036%d\\n' $?
    done
)
"""


class Kernel:
    """A kernel package unpacked below `root`."""

    def __init__(self, root):
        images = glob.glob(f"{root}/boot/vmlinuz-*")
        if len(images) != 1:
            raise Failure(f"no guest kernel in {root}; run script/bootstrap")
        self.root = root
        self.image = images[0]
        self.version = os.path.basename(self.image).removeprefix("vmlinuz-")

    def module_paths(self, modules):
        """Each module once, behind those it depends on; built-in ones do not appear."""
        listing = run("modprobe", "-d", self.root, "-S", self.version, "--show-depends", "--all",
                      *modules)
        fields = [line.split() for line in listing.splitlines()]
        return list(dict.fromkeys(field[1] for field in fields if field[0] == "insmod"))


def build(kernel, path, modules, programs=()):
    """Writes the archive for `kernel` to `path`. Programs come with their libraries."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as tree:
        for folder in FOLDERS:
            os.makedirs(f"{tree}/{folder}")
        shutil.copy(BUSYBOX, f"{tree}/bin/busybox")
        os.symlink("busybox", f"{tree}/bin/sh")
        for place, module in enumerate(kernel.module_paths(modules)):
            with open(f"{tree}/modules/{place:02}.ko", "wb") as plain:
                plain.write(module_bytes(module))
        for program in programs:
            shutil.copy(program, f"{tree}/usr/sbin")
            for library in libraries(program):
                place = f"{tree}{library.removeprefix(PROGRAMS)}"
                os.makedirs(os.path.dirname(place), exist_ok=True)
                shutil.copy(library, place)
        with open(f"{tree}/init", "w", opener=executable) as init:
            init.write(INIT)
        pack(tree, path)


def libraries(program):
    """What it is linked with, and the loader."""
    return re.findall(r"(/\S+) \(0x", run(*WITH_LIBRARIES, "ldd", program))


def module_bytes(path):
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as module:
        return module.read()


def executable(path, flags):
    return os.open(path, flags, 0o755)


def pack(tree, path):
    names = [os.path.relpath(os.path.join(folder, name), tree)
             for folder, folders, files in os.walk(tree) for name in folders + files]
    with open(path, "wb") as archive:
        subprocess.run(["cpio", "--quiet", "--create", "--format=newc"], cwd=tree, check=True,
                       input="\n".join(names).encode(), stdout=archive, timeout=30)
