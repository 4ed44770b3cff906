"""Sessions without a start: a light launcher, and a resident process that forks.

The launcher imports next to nothing and hands its descriptors, words and environment to a
process of the same user that has everything loaded. Whatever is wrong with that one costs
a cold start and nothing else.
"""
