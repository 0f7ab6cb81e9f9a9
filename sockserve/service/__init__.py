"""The twistd plugin: its options, service, signals and clock."""
