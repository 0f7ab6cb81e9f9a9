"""What an operator sees of a running program: metrics, its health, and a page; over HTTP, by twisted.web."""
