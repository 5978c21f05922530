"""A command for which the kernel has no inotify instance left, and the rest of the machine has all."""

from __future__ import annotations

from lab.sandbox import interpreter

#: Runs a command for which the kernel has no inotify instance left. The limit is the whole machine's for root, and
#: others use it too: a filter of system calls gives the same answer (EMFILE) in this node alone.
NO_INOTIFY = """
import ctypes, errno, os, platform, struct, sys
calls = {"x86_64": (253, 294), "aarch64": (26,)}[platform.machine()]
ops = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # the number of the system call
ops += [struct.pack("HBBI", 0x15, len(calls) - n, 0, call) for n, call in enumerate(calls)]
ops += [struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000), struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | errno.EMFILE)]
code = ctypes.create_string_buffer(b"".join(ops))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("ops", ctypes.c_void_p)]
PR_SET_SECCOMP, FILTER = 22, 2
program = Program(len(ops), ctypes.addressof(code))
assert ctypes.CDLL(None).prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
WITHOUT_INOTIFY = (str(interpreter()), "-c", NO_INOTIFY)
