"""Step-time benchmarks against hand-written NumPy and the peers that are installed."""
