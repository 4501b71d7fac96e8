#!/usr/bin/python3 -IS
"""Take MEGABYTES of memory and write whether it could be had."""

import os

try:
    taken = bytearray(int(os.environ["MEGABYTES"]) * 1024 * 1024)
    taken[::4096] = b"x" * len(taken[::4096])
    print("taken", flush=True)
except MemoryError:
    print("refused", flush=True)
