"""The link: requests and their checked answers over a line. The only room that knows pymodbus."""
