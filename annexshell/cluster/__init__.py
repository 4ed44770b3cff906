"""A Store made of Stores: one upload to many repositories (spec 01 §8)."""
