"""Devices: adapters as data, and the codec between their registers and values in gridopt's units."""
