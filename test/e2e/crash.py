#!/usr/bin/python3
"""Crash tests of the real daemon: make check (less than a minute), make check-crash (--full; writes doc/crash.md).

Other arguments choose tests by parts of their names. CRASH_KILLS sets the number of random kills. CRASH_SEED repeats the
choices; the instants of the kills only as far as the scheduler of the system allows.
"""

import os
import sys

import crash_kill
import crash_queue
import crash_world
import lib

PAGE = os.path.join(lib.ROOT, "doc", "crash.md")

HEAD = """# What crashes left

Figures of a full run (`make check-crash`, seed {seed}); `make check` does the same with 2,000 messages and 6 kills, and
each named point once or twice; `CRASH_KILLS=1000 make check-crash` makes more of the random ones. A client of 20 sessions
journals each 250 durably before it counts it; the destination journals each message before it answers; `outlast-ledger`
balances the two. Neither knows the relay from inside.

## kill -9 at random instants

The daemon is started again at once and killed again, also while it starts. Only what is on a connection to the next hop can
be sent twice: 20 connections are allowed at a time; those open shortly before the kills are given.

| run | figures |
|---|---|
"""

POINTS = """
"And every unsynced write lost": the daemon runs on a SQLite file system that keeps writes in memory until they are synced, so
that kill -9 loses them as a power loss does. That this is able to find a missing sync is shown by three daemons with a
planted defect: the journal without its sync; and, with the journal switched off, `synchronous=OFF` and
`synchronous=NORMAL` (the read-back of the setting disarmed as well).

## kill -9 at each point of the crash table

`outlastd --fault POINT:N` kills itself at the N-th passage; N is drawn anew for each hit. Accepting is struck with the
destination away and one session, deliveries one at a time without a client, so that each duplicate belongs to its row.
After each hit the queue is a sound database (`PRAGMA integrity_check` on a copy).

| row of the crash table | point | hits | sent twice by the relay | sent again by the client | lost | altered |
|---|---|---:|---:|---:|---:|---:|
"""

TAIL = """
Sent again by the client: it had no 250 and is right to come again (RFC 1047); at `accept_replied`, which strikes 1 ms
after a 250, with its next message. At `attempt_dot_sent` the next hop has the whole message, so a second copy cannot be told
from a first.
"""


def write_page():
    figures = dict(crash_kill.FIGURES)
    table = figures.pop("table")
    with open(PAGE, "w", encoding="ascii") as file:
        file.write(HEAD.format(seed=crash_world.SEED))
        file.writelines(f"| {name} | {text} |\n" for name, text in figures.items())
        file.write(POINTS)
        file.writelines("| %s | %s | %d | %d | %d | %d | %d |\n" % row for row in table)
        file.write(TAIL)


def main():
    sys.argv = [argument for argument in sys.argv if argument != "--full"]
    print(f"# seed {crash_world.SEED}", flush=True)
    try:
        lib.run({**vars(crash_kill), **vars(crash_queue)})
    except SystemExit as end:
        if crash_world.IS_FULL and end.code == 0 and len(sys.argv) == 1:
            write_page()
        raise


if __name__ == "__main__":
    main()
