"""gridopt plans a city district's energy: one proven schedule for all its devices, explained in plain words."""

__version__ = "0.1.0"
