"""A real Slurm cluster of one node in a folder: ``python one_node_slurm.py start FOLDER``, and ``stop FOLDER``.

Needs Debian's slurm-wlm and munge. Nothing outside the folder is written and no system service is touched: munge gets
a key and a socket of its own, Slurm free ports and a configuration named by SLURM_CONF.
"""

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# Their folder is on the PATH of root alone.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "squeue", "scontrol")
DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order in which they are stopped
SECONDS_TO_START = 30
KILL_WAIT = 5  # seconds from a job's SIGTERM to its SIGKILL


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=SEARCH_PATH) is None]


class OneNodeSlurm:
    """A cluster whose jobs run on this machine.

    Args:
        folder: empty or new, on a short path: sockets allow about 100 characters.
        cpus: how many the node claims to have.
    """

    def __init__(self, folder: Path, *, cpus: int = 2) -> None:
        self.folder = folder.absolute()
        self.cpus = cpus
        self._processes: list[subprocess.Popen] = []

    @property
    def variables(self) -> dict[str, str]:
        """What commands of Slurm need in their environment."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": SEARCH_PATH}

    def run(self, *command: str) -> str:
        """Run a command of Slurm and return what it prints."""
        environment = {**os.environ, **self.variables}
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if process.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {process.stderr.strip()}")
        return process.stdout

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        munge = [f"--{name}={self.folder / f'munge.{name}'}" for name in ("socket", "key-file", "pid-file", "log-file")]
        self._spawn("munged", "--foreground", "--force", *munge, f"--seed-file={self.folder / 'munge.seed'}")
        self._wait_for(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._spawn("slurmctld", "-D", "-i")
        self._spawn("slurmd", "-D")
        self._wait_for(lambda: "idle" in self._node_state(), "the node")

    def stop(self) -> None:
        """End all jobs and daemons."""
        if len(self._processes) == len(DAEMONS):
            self._end_jobs()
        # In this order: each needs those after it to end.
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _end_jobs(self) -> None:
        """End all jobs and wait for it: what runs for a job outlives slurmd."""
        self.run("scancel", f"--user={getpass.getuser()}")
        end = time.monotonic() + 2 * KILL_WAIT + SECONDS_TO_START
        while self.run("squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.1)

    def logs(self) -> str:
        """The last lines of the daemons, for a failed test."""
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self.folder.glob("*.out"))
        )

    def _spawn(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=SEARCH_PATH)
        assert path is not None, f"{program} is not installed"
        with (self.folder / f"{program}.out").open("w") as log:
            process = subprocess.Popen(
                [path, *arguments],
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        (self.folder / f"{program}.pid-here").write_text(str(process.pid))

    def _node_state(self) -> str:
        process = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env={**os.environ, **self.variables}, capture_output=True, text=True
        )
        return process.stdout

    def _wait_for(self, is_ready, what: str) -> None:
        end = time.monotonic() + SECONDS_TO_START
        while not is_ready():
            if time.monotonic() > end or any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"{what} did not start\n{self.logs()}")
            time.sleep(0.1)

    def _write_configuration(self) -> None:
        key = self.folder / "munge.key-file"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        # munged refuses a key or a socket that others could reach.
        self.folder.chmod(0o755)
        for name in ("state", "spool"):
            (self.folder / name).mkdir(exist_ok=True)
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        controller_port, node_port = _free_ports(2)
        lines = {
            "ClusterName": "one",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": controller_port,
            "SlurmdPort": node_port,
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            # cred_expire is also how long a requeued job waits.
            "AuthInfo": f"socket={self.folder / 'munge.socket'},cred_expire=5",
            "StateSaveLocation": self.folder / "state",
            "SlurmdSpoolDir": self.folder / "spool",
            "SlurmctldPidFile": self.folder / "slurmctld.pid",
            "SlurmdPidFile": self.folder / "slurmd.pid",
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "SwitchType": "switch/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core",
            "MpiDefault": "none",
            "ReturnToService": 2,
            "KillWait": KILL_WAIT,
            "SchedulerParameters": "sched_interval=2,bf_interval=2",
            # The node may claim more cores than the machine has.
            "SlurmdParameters": "config_overrides",
        }
        text = "\n".join(f"{key}={value}" for key, value in lines.items())
        text += f"\nNodeName={host} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory=1000 State=UNKNOWN"
        text += f"\nPartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
        (self.folder / "slurm.conf").write_text(text)


def _free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _stop_started_elsewhere(cluster: OneNodeSlurm) -> None:
    cluster._end_jobs()
    for program in DAEMONS:
        os.kill(int((cluster.folder / f"{program}.pid-here").read_text()), signal.SIGTERM)
        # Each needs those after it to end.
        time.sleep(1)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("start", "stop"):
        sys.exit(__doc__)
    if sys.argv[1] == "stop":
        _stop_started_elsewhere(OneNodeSlurm(Path(sys.argv[2])))
    elif missing := missing_programs():
        sys.exit(f"{', '.join(missing)} not found: apt-get install slurm-wlm munge")
    else:
        cluster = OneNodeSlurm(Path(sys.argv[2]), cpus=os.cpu_count() or 1)
        cluster.start()
        sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in cluster.variables.items())
