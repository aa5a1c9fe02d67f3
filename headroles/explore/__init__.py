"""Heads under the hand: point at one, cut it, ask it, and see; in a notebook and on a local page."""
