#!/usr/bin/env python3
"""Makes test/goldens/lora: LoRA adapters as PEFT saves them, and what Hugging Face transformers computes in float32 with them merged
into the weights of tiny models.

Needed only to make them anew, never to test; what it needs is said in make-goldens.py.

Each NAME has NAME/adapter_config.json, NAME/adapter_model.safetensors and, in lora.golden.json:

    "model"   of test/tools/tiny-llama.ts
    "prompt"  tokens
    "greedy"  the tokens that greedy decoding adds
    "logits"  of the rows that chose them, each of the whole vocabulary
"""

import json
import math
import subprocess
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "test" / "goldens" / "lora"
NEW_TOKENS = 8
ALL = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
FUSED = ["self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj"]
ADAPTERS = {
    "all-modules": {"model": "text", "modules": ALL, "r": 4, "lora_alpha": 8, "use_rslora": False, "dtype": torch.float16},
    "rank-stabilized": {
        "model": "text",
        "modules": ["self_attn.q_proj", "self_attn.v_proj"],
        "r": 3,
        "lora_alpha": 6,
        "use_rslora": True,
        "dtype": torch.bfloat16,
    },
    "fused": {"model": "phi3", "modules": FUSED, "r": 2, "lora_alpha": 4, "use_rslora": False, "dtype": torch.float32},
}


def write_model(name, source):
    program = f"""
        import {{ TINY_LLAMAS, writeTinyLlama }} from './dist-test/tools/tiny-llama.js';
        await writeTinyLlama('{source}', TINY_LLAMAS['{name}']);
    """
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=ROOT, check=True)


def make_adapter(name, spec, model, generator):
    """Writes the adapter and merges it into the model."""
    scale = spec["lora_alpha"] / (math.sqrt(spec["r"]) if spec["use_rslora"] else spec["r"])
    tensors = {}
    for layer, block in enumerate(model.model.layers):
        for module in spec["modules"]:
            weight = block.get_submodule(module).weight
            outputs, inputs = weight.shape
            a = torch.randn(spec["r"], inputs, generator=generator).mul(0.1).to(spec["dtype"])
            b = torch.randn(outputs, spec["r"], generator=generator).mul(0.1).to(spec["dtype"])
            prefix = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{prefix}.lora_A.weight"] = a
            tensors[f"{prefix}.lora_B.weight"] = b
            weight.data += scale * (b.float() @ a.float())
    directory = GOLDENS / name
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": spec["r"],
        "lora_alpha": spec["lora_alpha"],
        "lora_dropout": 0.0,
        "target_modules": [module.split(".")[1] for module in spec["modules"]],
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_dora": False,
        "use_rslora": spec["use_rslora"],
    }
    (directory / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


@torch.no_grad()
def golden_of(name, spec, generator):
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "source"
        write_model(spec["model"], source)
        model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    make_adapter(name, spec, model, generator)
    prompt = [(37 * i + 11) % 150 for i in range(24)]
    tokens, rows = list(prompt), []
    for _ in range(NEW_TOKENS):
        logits = model(torch.tensor([tokens])).logits[0, -1]
        rows.append([round(value, 5) for value in logits.tolist()])
        tokens.append(int(logits.argmax()))
    return {"model": spec["model"], "prompt": prompt, "greedy": tokens[len(prompt) :], "logits": rows}


def main():
    generator = torch.Generator().manual_seed(16)
    goldens = {name: golden_of(name, spec, generator) for name, spec in ADAPTERS.items()}
    made_with = f"transformers {transformers.__version__}, torch {torch.__version__}, float32"
    lines = [f"{json.dumps(name)}: {json.dumps(golden)}" for name, golden in goldens.items()]
    (GOLDENS / "lora.golden.json").write_text(f'{{"madeWith": {json.dumps(made_with)},\n' + ",\n".join(lines) + "\n}\n")


main()
