"""The command `sockserve`: the client side, from a shell. Each subcommand is a module."""
