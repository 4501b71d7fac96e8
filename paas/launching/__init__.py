"""What starts and ends programs of this machine, whoever asks: users, limits, control groups."""
