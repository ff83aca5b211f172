"""Random numbers that belong to a place: number k of (seed, stream) is the same whoever asks, in any order.

A stream is named by what it is for (``"sky/slow"``); its places are absolute cells or days since year 1.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from gridopt.clock import Floats


def uniform(seed: int, stream: str, first: int, count: int) -> Floats:
    """Uniform [0, 1) numbers ``first`` … of an endless stream that belongs to (seed, stream).

    A counter-based generator (Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) starts at any
    place at no cost.
    """
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest(), "little")
    block, skip = divmod(first, 4)  # Philox makes four numbers a count
    return np.random.Generator(np.random.Philox(key=key, counter=block)).random(count + skip)[skip:]


def gauss(seed: int, stream: str, first: int, count: int) -> Floats:
    """Standard normal numbers of a stream (Box-Muller: always two uniforms each, so that places are kept)."""
    u = uniform(seed, stream, 2 * first, 2 * count).reshape(count, 2)
    return np.asarray(np.sqrt(-2.0 * np.log1p(-u[:, 0])) * np.cos(2 * np.pi * u[:, 1]))


def filtered(seed: int, stream: str, first: int, count: int, kernel: Floats) -> Floats:
    """Standard normal numbers that remember: a moving sum of independent ones, hence without a beginning."""
    reach = len(kernel) - 1
    white = gauss(seed, stream, first - reach, count + reach)
    return np.asarray(np.convolve(white, kernel / np.sqrt(np.sum(kernel**2)), mode="valid"), np.float64)


def fading(memory: float) -> Floats:
    """Kernel of an exponential memory of so many cells."""
    return np.exp(-np.arange(math.ceil(4 * memory) + 1) / memory)


def spells(memory_days: float) -> Floats:
    """Kernel of spells that fade over days and sum to nothing over a month: a year's mean stays what was asked for."""
    kernel: Floats = np.exp(-np.arange(30) / memory_days)
    return kernel - np.mean(kernel)
