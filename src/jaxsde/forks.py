"""JAX after a fork: its threads are not in the child, which waits for them for ever."""

import os
import sys

_forked = False


def refuse_fork() -> None:
    """Is called before anything is computed.

    **Raises:** `RuntimeError` in a process that was forked from one in which JAX had started.
    """
    if _forked:
        raise RuntimeError(
            "This process was forked from one that had used JAX, whose threads a fork does not copy, so JAX would wait "
            "for ever here: start processes by 'spawn' or 'forkserver', as in multiprocessing.get_context('spawn') or "
            "joblib's default backend 'loky', or fork before JAX is used."
        )


def _in_child() -> None:
    global _forked
    # The one place that knows whether JAX has started is not in its public interface.
    started = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    _forked = _forked or (started is not None and bool(started()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
