"""Programs that run named sockets: the twistd plugin and `run`; their options, signals and clock."""
