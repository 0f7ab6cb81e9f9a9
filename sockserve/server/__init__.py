"""Named sockets and their settings."""
