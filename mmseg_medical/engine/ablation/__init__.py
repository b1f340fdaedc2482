"""Many configs trained and tested alike, and compared in one table."""
