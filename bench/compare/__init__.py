"""sockserve and its peers, side by side: `python -m bench.compare`.

peers       what is compared: the servers in bench/peers/, and sockserve's own
server      one of these servers as a process: its core, CPU time, memory
cases       what is measured: messages over connections, and connections themselves
plan        which cases a run consists of
samples     medians, spread and ratios, and the file that holds all samples
targets     what sockserve should reach, and whether it does
tables      the results as text, and in docs/performance.md
charts      the results as pictures
"""
