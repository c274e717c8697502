#!/usr/bin/env python3
"""Makes test/goldens/long-context.json: what Hugging Face transformers computes in float32 at 100,000 positions.

Needed only to make it anew, never to test; what it needs is in scripts/make-goldens.py:

    npm run build && npx tsc -p test/tsconfig.json
    python3 scripts/make-long-context-golden.py             # some minutes on two cores

The model is the tiny one of that name in test/tools/tiny-llama.ts, the prompt the formula of test/tools/golden.ts. The
prompt is computed in chunks over transformers' own cache. Each row has a position, the highest logits behind it, and the
log of the summed exponentials of all.
"""

import hashlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
PROMPT = 100_000
NEW = 16
CHUNK = 1024
TOP = 8
# Both sides of what a model was trained on (8,192) and of 16 bits, and the ends.
POSITIONS = [0, 1_000, 8_191, 8_192, 32_768, 65_535, 65_536, 80_000, 99_999]


def other_goldens():
    spec = importlib.util.spec_from_file_location("make_goldens", ROOT / "scripts" / "make-goldens.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.inference_mode()
def compute_rows(model, prompt):
    """The logits behind POSITIONS and behind each new token but the last, by position, and the new tokens."""
    cache = transformers.DynamicCache(config=model.config)
    rows = {}
    for first in range(0, len(prompt), CHUNK):
        tokens = torch.tensor([prompt[first : first + CHUNK]])
        logits = model(tokens, past_key_values=cache).logits[0]
        rows.update({at: logits[at - first] for at in POSITIONS if first <= at < first + len(logits)})
        print(first, file=sys.stderr, end="\r")
    greedy = [int(rows[len(prompt) - 1].argmax())]
    while len(greedy) < NEW:
        rows[len(prompt) + len(greedy) - 1] = model(torch.tensor([greedy[-1:]]), past_key_values=cache).logits[0, -1]
        greedy.append(int(rows[len(prompt) + len(greedy) - 1].argmax()))
    return rows, greedy


def rounded(value):
    return float(f"{float(value):.7g}")


def write_golden(rows, greedy, weights_sha256):
    lines = []
    for position, logits in sorted(rows.items()):
        top = logits.topk(TOP)
        lines.append(
            {
                "position": position,
                "tokens": top.indices.tolist(),
                "logits": [rounded(value) for value in top.values],
                "logsumexp": rounded(logits.logsumexp(-1)),
                "maxAbsLogit": rounded(logits.abs().max()),
            }
        )
    golden = {
        "madeWith": f"transformers {transformers.__version__}, torch {torch.__version__}, float32",
        "weightsSha256": weights_sha256,
        "promptLength": PROMPT,
        "greedy": greedy,
    }
    text = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in golden.items()]
    text += ['  "rows": [', ",\n".join("    " + json.dumps(line) for line in lines), "  ]"]
    (ROOT / "test" / "goldens" / "long-context.json").write_text("\n".join(["{", *text, "}", ""]))


def main():
    make_goldens = other_goldens()
    with tempfile.TemporaryDirectory() as work:
        engine = Path(work) / "long-context"
        make_goldens.run_node(
            f"""
            import {{ convert }} from './dist/engine/convert/convert.js';
            import {{ TINY_LLAMAS, writeTinyLlama }} from './dist-test/tools/tiny-llama.js';
            const spec = TINY_LLAMAS['long-context'];
            await writeTinyLlama('{engine}-source', spec);
            await convert('{engine}-source', '{engine}', {{ dtype: spec.dtype }});
            """
        )
        config = json.loads((engine / "config.json").read_text())["pretrained_config"]
        weights_sha256 = hashlib.sha256((engine / "rank0.safetensors").read_bytes()).hexdigest()
        model = make_goldens.load_reference(engine, config)
    rows, greedy = compute_rows(model, make_goldens.formula_prompt(PROMPT, config["vocab_size"]))
    write_golden(rows, greedy, weights_sha256)


if __name__ == "__main__":
    main()
