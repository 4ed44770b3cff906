"""Preferred content: which repositories want which keys; pure (spec 04 §2 to §7)."""
