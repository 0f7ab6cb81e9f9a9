"""`sockserve check`: the hostile peer, against any echo server; a table of what held."""
