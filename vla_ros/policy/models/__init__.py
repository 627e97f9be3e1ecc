"""Neural networks from shared parts; importing a module of this package needs torch."""
