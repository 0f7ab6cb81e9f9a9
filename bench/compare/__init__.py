"""sockserve and its peers, side by side: `python -m bench.compare`.

peers       who is compared: the servers in bench/peers/, and sockserve's own
server      one of them as a process: its core, CPU time, memory
cases       what is measured: messages through connections; connections themselves
plan        which cases a run has
samples     medians, spread, ratios; the file with all of it
targets     what sockserve is to reach, and whether it does
tables      results as text, and in docs/performance.md
charts      results as pictures
"""
