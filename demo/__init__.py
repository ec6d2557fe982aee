"""LimitPal's main job on real input: the same jobs at a hard provider, naive and with LimitPal."""
