"""What stands for a limit where no control group keeps it."""

MEBIBYTE = 1024 * 1024


def memory_by_rlimit(memory_bytes: int) -> int:
    """Say which RLIMIT_DATA stands for a memory limit.

    The rlimit counts what a program has mapped to write, not what it uses, so it has to be generous:
    a runtime that reserves much and uses little must live.
    """
    return max(4 * memory_bytes, memory_bytes + 512 * MEBIBYTE)
