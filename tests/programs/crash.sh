#!/bin/sh
echo "cannot go on" >&2
exit "${CODE:-3}"
