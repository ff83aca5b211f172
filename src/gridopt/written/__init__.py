"""What people write: TOML with its lines, values checked field by field, every mistake told at once."""
