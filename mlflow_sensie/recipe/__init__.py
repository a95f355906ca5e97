"""What a user asks for: its keys and their defaults, read from mappings, YAML files or shipped names."""
