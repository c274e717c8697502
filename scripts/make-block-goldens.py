#!/usr/bin/env python3
"""Makes test/goldens/ggml-blocks.golden.bin: what the gguf Python package decodes from ggml's blocks.

Needed only to make it anew, never to test:

    python3 -m pip install gguf==0.19.0 numpy==2.4.6
    python3 scripts/make-block-goldens.py

For each type, in this order: the blocks of 512 weights, random but for their fp16 scales, and the 512 weights as float32.
"""

from pathlib import Path

import gguf
import numpy

# Bytes of a block where an fp16 stands.
HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}
WEIGHTS = 512


def main() -> None:
    random = numpy.random.default_rng(13)
    content = bytearray()
    for name, halves in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        block_weights, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (WEIGHTS // block_weights, block_bytes), numpy.uint8)
        for place in halves:
            scales = random.normal(0, 0.01, len(blocks)).astype("<f2")
            blocks[:, place : place + 2] = scales.view(numpy.uint8).reshape(-1, 2)
        weights = gguf.quants.dequantize(blocks.reshape(-1), kind).astype("<f4")
        assert weights.size == WEIGHTS and numpy.isfinite(weights).all()
        content += blocks.tobytes() + weights.tobytes()
    path = Path(__file__).resolve().parent.parent / "test" / "goldens" / "ggml-blocks.golden.bin"
    path.write_bytes(content)


if __name__ == "__main__":
    main()
