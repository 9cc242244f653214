"""The embedded default data set: scenes that the program draws."""
