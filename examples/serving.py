"""A posterior behind HTTP: rows in, predictions out.

    pip install 'sdebnn[jax]' pandas starlette uvicorn
    python examples/serving.py runs/mine --port 8000
    curl localhost:8000/predict -d '{"rows": [[5.1, 3.5, 1.4, 0.2]]}'

A row is a list, in the order of the columns in training, or an object with the names of the columns. The answer has a
list for each column of the prediction. It is loaded once and shared by all threads of the server.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import sdebnn
from sdebnn.training import Posterior, TargetPrediction


def make_app(posterior: Posterior, *, most: int = 10_000) -> Starlette:
    """The service of a posterior, which takes at most so many rows at once."""

    def answer(rows: list[Any]) -> dict[str, list[Any]]:
        # What a row leaves out would be missing, and be filled.
        if any(
            type(row) is not type(rows[0]) or (isinstance(row, dict) and row.keys() != rows[0].keys()) for row in rows
        ):
            raise ValueError(
                "Rows are all lists, or all objects with the same names; write null where a value is missing."
            )
        said = posterior.predict(pd.DataFrame(rows) if isinstance(rows[0], dict) else np.array(rows, dtype=object))
        columns = said.columns()
        if isinstance(said, TargetPrediction) and said.mean.shape[1] == 1:
            low, high = said.interval(0.95)
            columns |= {"low_95": low[:, 0], "high_95": high[:, 0]}
        return {name: column.tolist() for name, column in columns.items()}

    async def predict(request: Request) -> JSONResponse:
        try:
            body = await request.json()
            rows = body["rows"] if isinstance(body, dict) and isinstance(body.get("rows"), list) else []
            if not 1 <= len(rows) <= most:
                raise ValueError(f'The body is not {{"rows": [...]}} with 1 to {most} rows.')
            # Other requests are taken meanwhile.
            return JSONResponse(await run_in_threadpool(answer, rows))
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"run": posterior.config.model})

    posterior.warm_up()
    return Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/health", health)])


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="run folder that `sdebnn train` wrote")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run(make_app(sdebnn.load(options.run)), port=options.port)


if __name__ == "__main__":
    main()
