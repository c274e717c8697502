#!/usr/bin/env python3
"""What the CPU executor and llama.cpp lose of a quantized GGUF file's logits, against the same weights in float32.

    npm run build
    npm install --prefix LIB --ignore-scripts @node-llama-cpp/linux-x64@3.22.1    (for llama.cpp's library)
    python3 -m pip install numpy==2.4.6
    python3 bench/logits_loss.py LIB/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64 model.gguf...

Both round what weights are multiplied with to eight bits, which is the loss. For each file: the root mean square of the
errors of all logits, the mean divergence of the next token's probabilities (Kullback and Leibler), and how often the
likeliest token is the same.
"""

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
TEXT = (
    "The tide comes in twice a day because the moon pulls the sea toward it and the earth turns below. Where a bay is long "
    "and narrow, the water has nowhere to go but up: in the Bay of Fundy it rises by sixteen metres, enough to turn rivers "
    "around. Fishermen there tie their boats with long ropes, and at low tide they walk out over the mud to mend the hulls."
)
OURS = """
const [gguf, work, text] = process.argv.slice(1);
const { LLM, convert } = await import('node-tensorrt-llm');
const { writeFileSync } = await import('node:fs');
const told = {};
for (const dtype of ['auto', 'float32']) {
  const llm = await LLM.load(await convert(gguf, `${work}/${dtype}`, { dtype }), { executor: 'cpu' });
  const tokens = await llm.tokenizer.encode(text);
  const { contextLogits } = await llm.generate({ tokens }, { maxTokens: 1, returnContextLogits: true });
  writeFileSync(`${work}/${dtype}.f32`, contextLogits.data);
  Object.assign(told, { tokens: [...tokens], device: llm.info.device });
  await llm.close();
}
console.log(JSON.stringify(told));
"""


class Parameters(ctypes.Structure):
    """A struct of llama.h that is passed by value: at least as large, so that its fields need no names here."""

    _fields_ = [("words", ctypes.c_uint32 * 256)]


class Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def load_llama(bins: Path) -> ctypes.CDLL:
    ctypes.CDLL(str(bins / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(next(bins.glob("libggml.v*.so"))), mode=ctypes.RTLD_GLOBAL)
    ggml.ggml_backend_load_all_from_path(str(bins).encode())
    llama = ctypes.CDLL(str(next(bins.glob("libllama.v*.so"))))
    pointer = ctypes.c_void_p
    for name, result, *arguments in [
        ("llama_model_default_params", Parameters),
        ("llama_context_default_params", Parameters),
        ("llama_model_load_from_file", pointer, ctypes.c_char_p, Parameters),
        ("llama_init_from_model", pointer, pointer, Parameters),
        ("llama_batch_init", Batch, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
        ("llama_decode", ctypes.c_int32, pointer, Batch),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), pointer),
        ("llama_log_set", None, pointer, pointer),
    ]:
        function = getattr(llama, name)
        function.restype, function.argtypes = result, arguments
    return llama


def logits_of_llama(llama: ctypes.CDLL, gguf: str, tokens: list[int], vocab_size: int) -> numpy.ndarray:
    model = llama.llama_model_load_from_file(gguf.encode(), llama.llama_model_default_params())
    parameters = llama.llama_context_default_params()
    parameters.words[0] = parameters.words[1] = parameters.words[2] = len(tokens)  # n_ctx, n_batch, n_ubatch
    context = llama.llama_init_from_model(model, parameters)
    assert model and context, gguf
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    assert llama.llama_decode(context, batch) == 0, gguf
    return numpy.ctypeslib.as_array(llama.llama_get_logits(context), (len(tokens), vocab_size)).astype("f8")


def log_softmax(logits: numpy.ndarray) -> numpy.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(1, keepdims=True))


def loss(logits: numpy.ndarray, exact: numpy.ndarray) -> dict[str, float]:
    expected = log_softmax(exact)
    divergence = (numpy.exp(expected) * (expected - log_softmax(logits))).sum(1).mean()
    return {
        "rms": round(float(numpy.sqrt(((logits - exact) ** 2).mean())), 4),
        "divergence": round(float(divergence), 6),
        "same": round(float((logits.argmax(1) == exact.argmax(1)).mean()), 3),
    }


def main() -> None:
    llama = load_llama(Path(sys.argv[1]).resolve())
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, data: None)
    llama.llama_log_set(ctypes.cast(quiet, ctypes.c_void_p), None)
    for gguf in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as work:
            command = ["node", "--input-type=module", "-e", OURS, "--", str(Path(gguf).resolve()), work, TEXT]
            told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
            tokens = told["tokens"]
            read = lambda dtype: numpy.fromfile(f"{work}/{dtype}.f32", "<f4").reshape(len(tokens), -1).astype("f8")
            exact = read("float32")
            ours = loss(read("auto"), exact)
        theirs = loss(logits_of_llama(llama, gguf, tokens, exact.shape[1]), exact)
        print(json.dumps({"file": Path(gguf).name, "tokens": len(tokens), "device": told["device"], "here": ours, "llama.cpp": theirs}), flush=True)


if __name__ == "__main__":
    main()
