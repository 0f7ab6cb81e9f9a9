"""Named sockets, and the settings they have."""
