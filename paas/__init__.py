"""A self-hosted PaaS agent for one VM.

core       what the words mean and what comes next; no I/O
specs      what may be said of a deployment, and from that to a complete spec
manifest   what a folder says of itself: paas.toml, zectre.yaml
github     what GitHub's deliveries say, and what it is told in return
store      SQLite: reads take a Reader, writes a Tx
drivers    how a task runs: a native program, a container
launching  users, limits and control groups of programs, for drivers and builders
docker     the container engine's API, for drivers and builders
builders   how an artifact becomes something to run
vault      seals secrets for the store
keyring    keeps the keys of the vault
router     host to deployment, deployment to live upstreams; memory only
engine     makes the world match the store
proxy      traffic in
api        people and machines in
cli        people at a terminal, over HTTP only
parts      opens all of these and wires them; containers, what needs the engine, when it is wanted
agent      runs the parts until a signal
"""

__version__ = "0.1.0"
