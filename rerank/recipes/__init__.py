"""The recipes that the package carries, as YAML files."""
