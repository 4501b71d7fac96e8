"""A self-hosted PaaS agent for one VM.

core       what the words mean and what comes next; no I/O
store      SQLite: reads take a Reader, writes a Tx
drivers    how a task runs
builders   how an artifact becomes something to run
vault      seals secrets for the store
router     host to deployment, deployment to live upstreams; memory only
engine     makes the world match the store
proxy      traffic in
api        people and machines in
cli        people at a terminal, over HTTP only
agent      opens, wires, runs until a signal, closes
"""

__version__ = "0.1.0"
