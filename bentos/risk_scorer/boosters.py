"""LightGBM models, loaded from their text format, in two ways that give the same bits.

`NativeBooster` calls LightGBM's C library directly: a row costs 7-10 us instead of 28, and the process never imports
lightgbm (which pulls in scikit-learn: 3.7 s and 120 MiB). `LibraryBooster` is the library's own Python way, the
fallback for a platform on which the first fails its self-test.
"""

import ctypes
import importlib.util
import struct
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError

_FLOAT64: Final = 1
_RAW_SCORE: Final = 1
_CONTRIBUTIONS: Final = 3
_ONE_THREAD: Final = b"num_threads=1"


class Booster(Protocol):
    """Raw outputs (log-odds) of a model with `width` columns."""

    width: int

    def raw_row(self, row: list[float]) -> float:
        """The raw output for one row of the matrix."""

    def raw_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw outputs, shape (n,), for a matrix of shape (n, width)."""

    def contributions(self, row: list[float]) -> list[float]:
        """TreeSHAP contributions of each column to the raw output, then the expected value: `width + 1` floats."""


class NativeBooster:
    """A model in LightGBM's C library. Not thread safe: one instance a thread."""

    def __init__(self, path: Path) -> None:
        """Load a model file. Raises ModelError when the library or the file can't be loaded."""
        self._lib = _library()
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        self._check(
            self._lib.LGBM_BoosterCreateFromModelfile(
                str(path).encode(), ctypes.byref(iterations), ctypes.byref(self._handle)
            )
        )
        width = ctypes.c_int()
        self._check(self._lib.LGBM_BoosterGetNumFeature(self._handle, ctypes.byref(width)))
        self.width = width.value
        self._make_single_row()

    def _make_single_row(self) -> None:
        self._row = (ctypes.c_double * self.width)()
        self._pack = struct.Struct(f"={self.width}d").pack_into
        self._out = ctypes.c_double()
        self._length = ctypes.c_int64()
        self._fast = ctypes.c_void_p()
        self._check(
            self._lib.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle, _RAW_SCORE, 0, -1, _FLOAT64, self.width, _ONE_THREAD, ctypes.byref(self._fast)
            )
        )
        self._predict = self._lib.LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (self._fast, self._row, ctypes.byref(self._length), ctypes.byref(self._out))

    def raw_row(self, row: list[float]) -> float:
        self._pack(self._row, 0, *row)
        if self._predict(*self._arguments):
            self._check(-1)
        return self._out.value

    def raw_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._predict_matrix(matrix, _RAW_SCORE, len(matrix))

    def contributions(self, row: list[float]) -> list[float]:
        values: list[float] = self._predict_matrix(np.array([row]), _CONTRIBUTIONS, self.width + 1).tolist()
        return values

    def _predict_matrix(self, matrix: NDArray[np.float64], kind: int, outputs: int) -> NDArray[np.float64]:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        out = np.empty(outputs)
        rows, columns = matrix.shape
        length = ctypes.c_int64()
        self._check(
            self._lib.LGBM_BoosterPredictForMat(
                self._handle,
                matrix.ctypes.data_as(ctypes.c_void_p),
                _FLOAT64,
                ctypes.c_int32(rows),
                ctypes.c_int32(columns),
                1,
                kind,
                0,
                -1,
                _ONE_THREAD,
                ctypes.byref(length),
                out.ctypes.data_as(ctypes.c_void_p),
            )
        )
        return out

    def _check(self, code: int) -> None:
        if code != 0:
            self._lib.LGBM_GetLastError.restype = ctypes.c_char_p
            raise ModelError(f"LightGBM: {self._lib.LGBM_GetLastError().decode(errors='replace')}")

    def __del__(self) -> None:
        if getattr(self, "_fast", None):
            self._lib.LGBM_FastConfigFree(self._fast)
        if getattr(self, "_handle", None):
            self._lib.LGBM_BoosterFree(self._handle)


class LibraryBooster:
    """A model in lightgbm's Python package."""

    def __init__(self, path: Path) -> None:
        import lightgbm  # noqa: PLC0415 - 3.7 s that only the fallback may cost

        try:
            self._booster: Any = lightgbm.Booster(model_file=str(path))
        except lightgbm.basic.LightGBMError as error:
            raise ModelError(f"{path}: {error}") from error
        self.width: int = self._booster.num_feature()

    def raw_row(self, row: list[float]) -> float:
        return float(self.raw_matrix(np.array([row]))[0])

    def raw_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, row: list[float]) -> list[float]:
        values: list[float] = self._booster.predict(np.array([row]), pred_contrib=True, num_threads=1)[0].tolist()
        return values


def _library() -> ctypes.PyDLL:
    """LightGBM's shared library, found inside the installed package without importing it.

    PyDLL keeps the interpreter's lock during a call: giving it up and taking it again costs more than it would gain in
    the few microseconds that a row takes.
    """
    spec = importlib.util.find_spec("lightgbm")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for pattern in ("lib/lib_lightgbm.*", "bin/lib_lightgbm.*", "lib_lightgbm.*"):
            for path in sorted(Path(folder).glob(pattern)):
                return ctypes.PyDLL(str(path))
    raise ModelError("the package lightgbm is not installed here: the environment is not the one of requirements.lock")
