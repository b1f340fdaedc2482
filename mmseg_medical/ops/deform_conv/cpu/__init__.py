"""Kernels of the numba back end: vectors, threads, sampling points, matrix products and the three ways to convolve."""
