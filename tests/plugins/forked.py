"""Programs that tests start, as `python` with the same words would, but each forked of a process that has imported what
most of them import: that takes longer than most of them run.

Libraries alone are imported before. What is tested is imported by each program anew.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

LIBRARIES = (
    "jax", "optax", "torch", "torchsde", "scipy.stats", "scipy.special", "sklearn.datasets", "sklearn.metrics",
    "sklearn.model_selection", "sklearn.pipeline", "sklearn.preprocessing", "pandas", "polars", "matplotlib.pyplot",
    "jaxtyping", "safetensors", "narwhals", "tqdm.auto", "filelock", "pooch", "jinja2", "tensorboardX", "torch._dynamo",
)  # fmt: skip

# As `jax_disable_most_optimizations`, which is read when JAX is imported: most programs take seconds to compile and run
# for a moment. XLA reads no flag after a word without dashes.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

PROGRAM = """
import gc, importlib.util, json, os, runpy, sys, warnings

for name in sys.argv[1:]:
    if importlib.util.find_spec(name.partition(".")[0]):
        importlib.import_module(name)
# No program goes over all that libraries hold in search of garbage, which takes a second or two where it ends alone.
gc.collect()
gc.freeze()
for line in sys.stdin:
    asked = json.loads(line)
    if "words" not in asked:
        ended, status = os.waitpid(asked["process"], os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
    elif process := os.fork():
        print(process, flush=True)
    else:
        break
else:
    os._exit(0)

os.chdir(asked["cwd"])
os.environ.clear()
os.environ.update(asked["env"])
for stream, path in enumerate((os.devnull, asked["out"], asked["err"])):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
if not asked["drawn"]:
    importlib.import_module("sdebnn.training.pictures").draw_run = lambda *_: None
words = asked["words"]
if words[:2] == ["-W", "error"]:
    words = words[2:]
else:
    warnings.simplefilter("default")
    sys.warnoptions.clear()
how, *rest = words
sys.argv = [how, *rest]
if how == "-m":
    sys.argv, sys.path[0] = rest, os.getcwd()
    runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
elif how == "-c":
    sys.argv = ["-c", *rest[1:]]
    exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
else:
    sys.path[0] = os.path.dirname(os.path.abspath(how))
    runpy.run_path(how, run_name="__main__")
"""


class Forked:
    """A program that was started, as a `subprocess.Popen` whose output goes to files."""

    def __init__(self, interpreter: "Interpreter", process: int, printed: tuple[Path, Path]) -> None:
        self._interpreter, self.pid, self._printed = interpreter, process, printed
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._interpreter.ask({"process": self.pid})
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return code

    def communicate(self, timeout: float) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (path.read_text() for path in self._printed)
        return out, err

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Interpreter:
    """Starts programs. Its process begins with the first of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory()
        self._started = 0

    def __enter__(self) -> "Interpreter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate()
        self._folder.cleanup()

    def ask(self, question: Mapping[str, Any]) -> Any:
        if self._process is None:
            # A reader does not work in this suite's strict lane. One thread, as everywhere here, and one arena:
            # of one for each thread, what the allocator happens to hold differs by more than programs take.
            env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
            command = [sys.executable, "-W", "error", "-c", PROGRAM, *LIBRARIES]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
            self._process = subprocess.Popen(command, env=env | threads, **pipes)  # type: ignore[call-overload]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def start(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, drawn: bool = True
    ) -> Forked:
        """What `python` does with these words: `-m module`, `-c code` or a script, after `-W error` or not.

        **Arguments:** `env`: in place of that of this process without the settings of the strict lane, in which XLA
        leaves most of its optimisations out. What libraries read when they are imported, as JAX does all of its
        settings, has no effect in it. `drawn`: whether runs are drawn into their folders, which takes longer than
        training does in most tests.
        """
        if env is None:
            env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
            env["XLA_FLAGS"] = f"{QUICKLY} {env.get('XLA_FLAGS', '')}"
        self._started += 1
        out, err = (Path(self._folder.name, f"{self._started}.{stream}") for stream in ("out", "err"))
        asked: dict[str, Any] = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(env), "drawn": drawn}
        asked |= {"out": str(out), "err": str(err)}
        return Forked(self, self.ask(asked), (out, err))

    def run(
        self,
        *words: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        drawn: bool = True,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """The same, until it has ended."""
        program = self.start(*words, cwd=cwd, env=env, drawn=drawn)
        out, err = program.communicate(timeout)
        assert program.returncode is not None
        return subprocess.CompletedProcess(words, program.returncode, out, err)
