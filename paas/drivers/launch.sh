# Keeps one native task alive without the agent, and writes down how it ended. Builtins only.
#
# $1    the folder of all runs
# fd 0  a pipe that brings a line once this shell is in its control group, then the lines that turn it into one
#       task; if it ends without, nobody needs this launcher
# fd 9  the record of the run, locked for as long as this shell lives; the program never gets it

umask 022
told=
trap : HUP INT QUIT USR1 USR2 ALRM # a signal to the group is for the program; its exit must be noted
trap told=yes TERM                 # unless it comes before the program's process does
cd "$1" || exit
read -r _ || exit 0 # that it is contained
( # forked ahead of the order: that is a quarter of a millisecond less to wait for the program
	test -z "$told" || exit 143
	. /dev/stdin # by no file: these lines hold the task's variables; and in blocks, not byte by byte
)
echo "exit $?" >&9
