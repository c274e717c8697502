#!/usr/bin/env python3
"""Makes test/goldens/embeddings: hidden states and log-probabilities of Hugging Face transformers, on the weights our converter wrote.

Needed only to make them anew, never to test; make-goldens.py says what to install:

    npm run build && npx tsc -p test/tsconfig.json
    python3 scripts/make-embedding-goldens.py

Each NAME.json has for prompts of test/tools/golden.ts's formula the states after the last norm (AutoModel's last_hidden_state): of
the last token, of the first, and their mean. "logprobs" are those of the prompt's last tokens, each after the ones before it.
"""

import importlib.util
import json
import tempfile
from pathlib import Path

import torch
import transformers

spec = importlib.util.spec_from_file_location("make_goldens", Path(__file__).with_name("make-goldens.py"))
goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(goldens)

NAMES = ["gqa", "qwen3"]
LENGTHS = [1, 24, 300]
SCORED = 5


@torch.inference_mode()
def request_of(model, prompt):
    tokens = torch.tensor([prompt])
    states = model.model(tokens).last_hidden_state[0]
    logprobs = model(tokens).logits[0].log_softmax(-1)
    scored = range(max(1, len(prompt) - SCORED), len(prompt))
    return {
        "promptLength": len(prompt),
        "last": goldens.rounded(states[-1]),
        "mean": goldens.rounded(states.double().mean(0)),
        "cls": goldens.rounded(states[0]),
        "logprobs": [float(f"{logprobs[i - 1, prompt[i]].item():.7g}") for i in scored],
    }


def make(name, work):
    engine = goldens.convert_tiny(name, work)
    config = json.loads((engine / "config.json").read_text())["pretrained_config"]
    if name in goldens.FROM_SOURCE:
        model = goldens.load_source(f"{engine}-source")
    else:
        model = goldens.load_reference(engine, config)
    golden = {
        "madeWith": f"transformers {transformers.__version__}, torch {torch.__version__}, float32",
        "vocabSize": config["vocab_size"],
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in golden.items()]
    requests = [request_of(model, goldens.formula_prompt(length, config["vocab_size"])) for length in LENGTHS]
    lines += ['  "requests": [', ",\n".join(json.dumps(request) for request in requests), "  ]"]
    directory = goldens.GOLDENS / "embeddings"
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.json").write_text("\n".join(["{", *lines, "}", ""]), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        for each in NAMES:
            make(each, Path(work))
