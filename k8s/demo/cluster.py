"""The cluster of KUBECONFIG as the demo uses it: kubectl, and a pod of the pipeline in which its models are made."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from k8s.demo.errors import CommandError

_HERE: Final = Path(__file__).parent
_CODE: Final = ("k8s/local/flawed_bentos.py", "k8s/local/errors.py")
"""What the pod needs beyond its image: the faults of the demo's bad candidates."""

MODEL: Final = "/work/model"
HOME: Final = "/work/home"
LEARNED: Final = "/work/events.parquet"
"""The events that the first model was made of."""

LABELLED: Final = "/work/newer.parquet"
"""Others, which neither model knows."""


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code, and what it said on standard output and standard error."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cluster:
    """One namespace with Vigil in it. `folder` is the checkout."""

    namespace: str
    folder: Path

    def run(self, *words: str, given: str = "", seconds: float = 300) -> str:
        """What `kubectl` says. Raises CommandError."""
        ended = self.command(["kubectl", "--namespace", self.namespace, *words], given, seconds)
        if ended.code:
            raise CommandError(f"kubectl {' '.join(words)[:200]}: {ended.err.strip()[-800:]}")
        return ended.out

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", *words, "--output", "json"))
        return found

    def vigil(self, *words: str) -> list[str]:
        """The command line of `vigil` on this cluster, for whoever runs it; its environment is `environment`."""
        return [sys.executable, "-P", "-m", "k8s.cli", *words]

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "ROLLOUT_NAMESPACE": self.namespace}

    def rows(self) -> int:
        """Requests that the prediction store knows of."""
        words = ("exec", "prediction-store-0", "--", "psql", "-U", "vigil", "-d", "vigil", "-tAc")
        return int(self.run(*words, "select count(*) from predictions where role <> 'shadow'"))

    def command(self, command: list[str], given: str, seconds: float) -> Ended:
        """A command in the checkout, ended. Raises CommandError when it can't be run, or takes too long."""
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                command, input=given, capture_output=True, text=True, timeout=seconds, check=False, cwd=self.folder
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(f"{' '.join(command)[:200]}: {error}") from error
        return Ended(done.returncode, done.stdout, done.stderr)


class Pipeline:
    """The pod. Used with `with`, which deletes it."""

    def __init__(self, cluster: Cluster, image: str) -> None:
        self._cluster = cluster
        self._manifest = (
            (_HERE / "pod.yaml").read_text(encoding="utf-8").replace("image: vigil/pipeline", f"image: {image}")
        )

    def __enter__(self) -> Self:
        self.close()
        self._cluster.run("apply", "--filename", "-", given=self._manifest)
        self._cluster.run("wait", "--for=condition=Ready", "pod/demo", "--timeout=120s")
        for file in _CODE:
            source = (self._cluster.folder / file).read_text(encoding="utf-8")
            write = f"mkdir -p /work/code/{Path(file).parent} && cat > /work/code/{file}"
            self._cluster.run("exec", "--stdin", "pod/demo", "--", "sh", "-c", write, given=source)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._cluster.run("delete", "--ignore-not-found", "--wait", "--filename", "-", given=self._manifest)

    def invent(self) -> None:
        """Makes the events to learn from, and those to compare by."""
        self._python("training", "synthesize", "--rows", "200000", "--seed", "0", "--out", LEARNED)
        self._python("training", "synthesize", "--rows", "150000", "--seed", "99", "--out", LABELLED)

    def train(self, seed: int) -> str:
        """The tag of a model with smaller trees than the first one's, published."""
        self._python("training", "train", "--data", LEARNED, "--out", MODEL, "--leaves", "20", "--seed", str(seed))
        return self.publish(self._python("training", "package", "--model", MODEL, "--home", HOME).out.split()[-1])

    def leaking(self, per_second: float, reserve: int) -> str:
        """The tag of the same model with serving code whose pool of connections runs dry, published."""
        code = (
            "from pathlib import Path; from k8s.local import flawed_bentos as f; "
            f"print(f.build(f.leaking_pool({per_second}, {reserve}), Path('{MODEL}'), Path('{HOME}')))"
        )
        return self.publish(self._done("python", "-c", code).out.split()[-1])

    def publish(self, tag: str) -> str:
        self._done("sh", "-c", f'python -m training publish {tag} --to "$ARTIFACTS" --home {HOME}')
        return tag

    def pull(self, tag: str) -> None:
        """Gets the Bento of a tag from the artifact store."""
        self._done("sh", "-c", f'python -m bentos.artifacts pull {tag} --from "$ARTIFACTS" --home {HOME}')

    def compare(self, champion: str, challenger: str) -> Ended:
        """`training compare`, whose exit code is its verdict; its row is in the prediction store."""
        words = ("compare", "--champion", champion, "--challenger", challenger, "--data", LABELLED, "--home", HOME)
        return self._exec("python", "-m", "training", *words)

    def _python(self, module: str, *words: str) -> Ended:
        return self._done("python", "-m", module, *words)

    def _done(self, *words: str) -> Ended:
        ended = self._exec(*words)
        if ended.code:
            raise CommandError(f"in the pod demo, {' '.join(words)[:200]}: {(ended.err or ended.out).strip()[-800:]}")
        return ended

    def _exec(self, *words: str) -> Ended:
        command = ["kubectl", "--namespace", self._cluster.namespace, "exec", "pod/demo", "--", *words]
        return self._cluster.command(command, "", 600)
