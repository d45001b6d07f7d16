"""`make check-gpu`: one script that says in eight minutes whether everything works on a GPU, and how fast.

__main__.py          the command: checks in turn, one JSON written after each, one page
check_list.py        which checks there are, and how long each may take
isolated_worker.py   a process that does them, so that a crash, a hang or a spoiled GPU ends one check alone
trial.py             what is tried: device, sizes, types; how a check says no
machine_facts.py, generator_checks.py, training_checks.py, network_checks.py   the checks
made_up_run.py       a training run on made-up pictures
check_page.py        the page
"""
