"""sockserve and its peers, side by side: `python -m bench.compare`.

toolchain    what is built first: the load and the servers in C, Go and Erlang
peers        what is compared: the servers in bench/peers/, and sockserve's own
server       one of these servers as a process: its core, CPU time, memory
load         messages to it and back, every byte compared: bench/load/load.c, or Python
cases        what is measured of messages and handshakes
connections  what is measured of connections
plan         which cases a run consists of: the parts
machine      the cores, and what is installed
runs         a run: each server of each case in turn, round after round
samples      medians, spread and ratios, and the file that holds all samples
targets      what sockserve should reach, and whether it does
summary      what a user gets: the first table, and its picture
tables       the results as text, and in docs/performance.md
charts       the results as pictures
"""
