#!/usr/bin/python3 -IS
"""Ignore SIGTERM and wait."""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("cannot be asked", flush=True)
while True:
    signal.pause()
