"""What the commands do: folders in, folders out."""
