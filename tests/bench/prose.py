"""The words of docs/benchmarks.md that do not change from run to run."""

INTRODUCTION = """\
# annexshell beside git-annex-shell

Written by `make bench BENCH='--write docs/benchmarks.md'` from one run. All but the notes at the
end is made by `tests/bench`: change it there.

![Ratios of annexshell to git-annex-shell](benchmarks.svg)
"""

HOW_TO_READ = """\
## How to read it

Everything is a ratio: what annexshell took, divided by what git-annex-shell took for the same in
the same minute. **Below 1 annexshell needs less.** A machine's speed is in both and falls out
for the most part; how fast it hashes does not (below). A row of the plot has

- a dot for the median of all runs, and a line from the lower to the upper quartile: half of the
  runs lie on it. Where two lines do not overlap the difference is real; a long line is a
  machine that did something else at the time;
- a dashed line at 1, where both need the same, and a black bar for a target. To the left of its
  bar a row is good.

The three columns are *wall* (time by the clock), *processor* (of all processes together) and
*memory*. In the tables a figure is `median (lower quartile to upper quartile)`, and behind it what
both took; **met** or **missed** is computed from the median and stands where there is a target.

"warm" sessions come from annexshell's resident process, the default; "cold" ones start a Python
interpreter, as the first session of a day or with `annexshell.warm=false`. "no fsync" is
`annexshell.fsync=false`: git-annex-shell never waits for the disk, and annexshell does unless told
otherwise, so this is the like-for-like of what changes a repository, and the line without it
what one gets.
"""

HOW_IT_IS_MEASURED = """\
## How it is measured

- **Who.** git-annex-shell is the program itself, by a link, without the Python script that PyPI
  wraps around it. annexshell is what `make install` writes (`python -IS`), with the modules
  of the checkout. Both get the command line and the pipes that sshd would give them.
- **Interleaved.** All that is compared runs in turn, each round beginning with another one; a
  ratio is that of two runs of one round. One round before the first is not counted.
- **Start**: from before the program is started until AUTH-SUCCESS has been read, and until the
  answer to a first CHECKPRESENT (of absent content) has; VERSION is agreed on in between.
- **Large content**: a whole session, from before its start until its end has been seen, that gets
  or puts one content. The bench reads with `read` into one buffer, as sshd does, and writes from
  memory. Before a PUT the content is removed; before a GET it is made sure to be there
  (and so it is in the page cache).
- **Small operations**: time for one request among many for different contents of 1 KiB in one
  session, each waiting for its answer, without the session's start and end. LOCKCONTENT includes
  giving the lock back, which has no answer; a cluster always refuses it. The bench's own 20 µs
  or so for a request are in both.
- **Fan-out**: a whole session that puts one content to a cluster of so many nodes by path.
- **Many sessions**: all are started before the first is greeted; each makes five requests, in
  step with the others; until the last has ended.
- **Real client**: `git annex get` through sshd, from a node behind the gateway (proxied) and from
  the same node's own url (direct). The client's own work, its hashing and ssh's encryption
  are in both. Its first two lines compare ways and not programs. Its processor time is that of all
  of them: the client, its ssh, the ssh server and the sessions.
- **Where.** All repositories lie in one new directory in TMPDIR, else in /tmp, so
  `TMPDIR=/mnt/elsewhere make bench` measures another file system. *File system*, above, is that
  of this directory, with its mount options. With `discard` ext4 tells the device, in each commit
  of its journal, what became free; the next fsync waits for that, and a REMOVE is an fsync
  after something became free.
- **Interrupted**: `--json` writes what is done after each row. A page of that, by `--from`, says
  "stopped" in its amounts.
- **Wall** is by the clock of the bench. Where it and the programs need more than the
  machine's cores they wait for each other; processor time is the steadier figure.
- **Processor** is user and system time of all processes. Of a cold session: what was started for
  it, and all that had as children. Of a warm one: the launcher, the process that serves it, and
  what the resident and all else it started used in the meantime, such as the process it
  forks ahead for the next session.
- **Memory** is the sum of the peaks (VmHWM) of all processes of a session, of a warm one its
  process and the launcher. Pages that processes share count in each, so a warm session's
  includes all it has in common with the resident. *Share* (PSS at the end of the work) divides
  what is shared by its users. The resident itself is in neither: one serves all.
"""

HASHING = """\
Where content is stored it has to be hashed, once, by everybody. On this machine that alone takes
{seconds:.2f} s for {size} MiB, so no PUT of that can take less processor time, and its ratio cannot
fall below this *floor*: hashing alone beside all of git-annex-shell's work.
"""

NOTES_HEADING = "## Notes"
NO_NOTES = "None yet. What is written below this heading is kept when the page is written again."
