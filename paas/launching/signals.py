"""Which signals a program of others' finds as the kernel made them."""

import signal

# What is ignored stays so over exec, and a shell cannot undo it; Python ignores SIGPIPE and SIGXFSZ.
RESET_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
