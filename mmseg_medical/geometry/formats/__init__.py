"""One module a file format, with ``read(path)`` and ``write(volume, path)``."""
