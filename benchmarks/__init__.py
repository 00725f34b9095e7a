"""Measurements, never tests: each prints ratios to a peer or a limit that ran in the same minutes.

python -m benchmarks               every benchmark, one table each
python -m benchmarks plan          one of them
python -m benchmarks plan --size 1000 --rounds 3

measure        runs commands in turn and keeps each one's wall, CPU and peak memory
plan_world     businesses with five locations each, and the records an apply would have left
static_server  answers the integration API from memory, in a process of its own
plan           validate and plan against octoDNS and Terraform
start          how long the program takes to say anything
sync           a pass against a bare loop that keeps nothing
"""
