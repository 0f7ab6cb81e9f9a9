"""The twistd plugin: its options, its service, its signals and its clock."""
