"""The PROXY protocol: a client's address, from the proxy in front of the server."""
