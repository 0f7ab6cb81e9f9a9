"""Which framings can bytes be, and where are the borders of their frames: for `sockserve inspect` and bad frames.

candidates    which framings are tried
fitting       how well one fits, and the order of all
frames        frames in bytes, each with its header, payload and trailer
words         bytes in words, and why a framing fits or does not
hints         what a bad frame may be instead, in one line
"""

from __future__ import annotations
