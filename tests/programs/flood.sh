#!/bin/sh
# LINES_MOST lines (default: without end), each of 80 characters and more.
exec awk -v last="${LINES_MOST:-0}" 'BEGIN {
    while (last == 0 || number < last)
        printf "%08d 0123456789012345678901234567890123456789012345678901234567890123456789\n", number++
}'
