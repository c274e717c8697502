#!/usr/bin/env python3
"""Makes test/goldens/calibration: the scales of a tiny model in FP8, computed with Hugging Face transformers and torch in float32.

Needed only to make them anew, never to test; what it needs is said in make-goldens.py.

fp8.golden.json has the texts that the model reads, each cut to 512 tokens, and for each matrix of each layer:

    "activation"  the largest absolute value that goes into it, over all texts, / 448
    "weights"     the largest absolute weight / 448; q, k and v are one matrix
    "sha256"      of the weights / "weights", rounded to float8_e4m3fn
"""

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "test" / "goldens" / "calibration" / "fp8.golden.json"
MOST_TOKENS = 512
LARGEST = 448
TEXTS = [
    "The ferry left the harbour an hour late.",
    "Größe, naïve, 東京",
    '{"celsius": 4.5, "valid": true}',
    "more than 512 tokens: " + "never mind. " * 50,
]
# TensorRT-LLM's names, and those of transformers.
MATRICES = {
    "attention.qkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "attention.dense": ["self_attn.o_proj"],
    "mlp.fc": ["mlp.gate_proj"],
    "mlp.gate": ["mlp.up_proj"],
    "mlp.proj": ["mlp.down_proj"],
}


def write_model(source):
    program = f"""
        import {{ TINY_LLAMAS, writeTinyLlama }} from './dist-test/tools/tiny-llama.js';
        await writeTinyLlama('{source}', TINY_LLAMAS.text);
    """
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=ROOT, check=True)


def input_maxima(model, tokenizer):
    maxima = {}

    def watch(name):
        def hook(_module, inputs):
            maxima[name] = max(maxima.get(name, 0.0), inputs[0].abs().max().item())

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(watch(name))
    with torch.inference_mode():
        for text in TEXTS:
            model(torch.tensor([tokenizer(text)["input_ids"][:MOST_TOKENS]]))
    return maxima


def main():
    with tempfile.TemporaryDirectory() as work:
        write_model(work)
        model = transformers.AutoModelForCausalLM.from_pretrained(work, dtype=torch.float32).eval()
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=f"{work}/tokenizer.json")
        maxima = input_maxima(model, tokenizer)
    modules = dict(model.named_modules())
    matrices = {}
    for layer in range(model.config.num_hidden_layers):
        for ours, theirs in MATRICES.items():
            names = [f"model.layers.{layer}.{name}" for name in theirs]
            weights = torch.cat([modules[name].weight.detach() for name in names])
            scale = weights.abs().max() / LARGEST
            rounded = (weights / scale).to(torch.float8_e4m3fn)
            matrices[f"transformer.layers.{layer}.{ours}"] = {
                "activation": float(f"{maxima[names[0]] / LARGEST:.9g}"),
                "weights": float(f"{scale.item():.9g}"),
                "sha256": hashlib.sha256(rounded.view(torch.uint8).numpy().tobytes()).hexdigest(),
            }
    golden = {
        "madeWith": f"transformers {transformers.__version__}, torch {torch.__version__}, float32",
        "texts": TEXTS,
        "matrices": matrices,
    }
    GOLDEN.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
