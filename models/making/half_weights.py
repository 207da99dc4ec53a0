"""Smaller files: a network's weights stored in half precision."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SMALL = 256
"""Constants with fewer numbers stay in single precision: they weigh nothing."""


def store_in_half(model: onnx.ModelProto) -> None:
    """Keep large weights as float16, with a cast to float32 after each; runtimes fold the casts when they load."""
    graph = model.graph
    casts = []
    for weights in list(graph.initializer):
        if weights.data_type != TensorProto.FLOAT or np.prod(weights.dims) < SMALL:
            continue
        name = weights.name
        half = numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float16), f"{name}_half")
        graph.initializer.remove(weights)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT, name=f"{name}_single"))
    for node in reversed(casts):
        graph.node.insert(0, node)
    # The exporter may have noted types of weights that are another node's output now.
    inner = [value for value in graph.value_info if value.name not in {cast.output[0] for cast in casts}]
    del graph.value_info[:]
    graph.value_info.extend(inner)
