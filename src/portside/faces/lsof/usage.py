"""What the lsof face says of itself: the usage behind an error is lsof's; -h and -v speak of this face."""

from __future__ import annotations

from portside.faces.lsof.options import FIELDS

_PAGES = "https://github.com/lsof-org/lsof"
USAGE = f"""\
lsof 4.95.0
 latest revision: {_PAGES}
 latest FAQ: {_PAGES}/blob/master/00FAQ
 latest (non-formatted) man page: {_PAGES}/blob/master/Lsof.8
 usage: [-?abhKlnNoOPRtUvVX] [+|-c c] [+|-d s] [+D D] [+|-E] [+|-e s] [+|-f[gG]]
 [-F [f]] [-g [s]] [-i [i]] [+|-L [l]] [+m [m]] [+|-M] [-o [o]] [-p s]
 [+|-r [t]] [-s [p:s]] [-S [t]] [-T [t]] [-u s] [+|-w] [-x [fl]] [--] [names]
"""
MORE = "Use the ``-h'' option to get more help information.\n"

HELP = """\
The network half of lsof: Internet and Unix domain sockets and who holds them.  Values in brackets are optional; an
option that selects is or-ed with the others, with -a and-ed.

  -i [46][proto][@host][:ports]   Internet files: -i, -i4, -iTCP, -i:22,80,8000-8100, -i6UDP@[::1]:53, -i:https
  -U                              Unix domain sockets
  -a                              all of what selects must fit, not any of it
  -p -u -g -c [^]s                with -a: processes by pid, user, process group, start of the command or
                                  /regex/[bix]; ^ leaves them out, without -a too
  -d [^]s                         with -a: descriptors, 3,7-9
  -s p:[^]s                       TCP states: -s TCP:LISTEN,CLOSE_WAIT
  -K [i]                          with -a: threads
  names                           paths of Unix domain sockets
  -n -P -l                        numbers for hosts, ports, users
  +M                              programs registered with the port mapper
  -T [qs]                         state (s) and queues (q) of connections; without a letter none of it
  -R -g +c w +fg -o -s +L         columns: parent, process group, width of COMMAND, flags, OFFSET, SIZE, NLINK
  -E +E                           the other end within this host; +E lists its files too
  -t -F [fields] -J -j            pids alone; a field a line (-F? lists them); JSON, a line for each file
  +|-r [t][c<n>][m<fmt>]          again every t seconds, n times; with + until nothing is listed
  -Q -V -w                        exit 0 though something was not found; say what was not; no warnings
  -N -X                           NFS files, where none is mounted; no TCP and UDP
  -b -O -S [t] -M                 taken and without effect: nothing waits here, and no port mapper is asked
  -h -? -v                        this, the version

It refuses what asks for other files: +d +D +|-e +m, and a selection that holds more than network files.
"""


def field_help() -> str:
    """Return what -F? prints."""
    return "lsof:\tID    field description\n" + "".join(
        f"\t {one}    {what}\n" for one, what in FIELDS.items()
    )


def version() -> str:
    """Return what -v prints."""
    from portside import __version__

    return (
        "lsof version information:\n    revision: 4.95.0, its network half, as a face of Portside\n"
        f"    portside: {__version__}\n    Anyone can list all files.\n"
    )
