"""Several processes that serve the same sockets: a supervisor, which owns the ports, and its workers."""
