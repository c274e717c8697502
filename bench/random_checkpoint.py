"""Writes an engine directory of random weights for bench/gpu.mjs: python3 bench/random_checkpoint.py DIR [--shape llama-8b].

Needs PyTorch with a GPU and safetensors. The weights are normal with a standard deviation of 0.02, in bfloat16, under the names of
TensorRT-LLM's unified checkpoint; there is no tokenizer, so requests are tokens.
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

SHAPES = {
    "llama-8b": dict(hidden=4096, layers=32, heads=32, kv_heads=8, head=128, ffn=14336, vocab=128256),
    "llama-1b": dict(hidden=2048, layers=16, heads=32, kv_heads=8, head=64, ffn=8192, vocab=128256),
}

parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("--shape", choices=SHAPES, default="llama-8b")
arguments = parser.parse_args()
shape = SHAPES[arguments.shape]
directory = pathlib.Path(arguments.dir)
directory.mkdir(parents=True, exist_ok=True)

torch.manual_seed(0)


def random(*size):
    return (torch.randn(*size, device="cuda") * 0.02).to(torch.bfloat16).cpu()


def ones(size):
    return torch.ones(size, dtype=torch.bfloat16)


hidden, qkv = shape["hidden"], (shape["heads"] + 2 * shape["kv_heads"]) * shape["head"]
tensors = {
    "transformer.vocab_embedding.weight": random(shape["vocab"], hidden),
    "transformer.ln_f.weight": ones(hidden),
    "lm_head.weight": random(shape["vocab"], hidden),
}
for layer in range(shape["layers"]):
    prefix = f"transformer.layers.{layer}."
    tensors[prefix + "input_layernorm.weight"] = ones(hidden)
    tensors[prefix + "attention.qkv.weight"] = random(qkv, hidden)
    tensors[prefix + "attention.dense.weight"] = random(hidden, shape["heads"] * shape["head"])
    tensors[prefix + "post_layernorm.weight"] = ones(hidden)
    tensors[prefix + "mlp.fc.weight"] = random(shape["ffn"], hidden)
    tensors[prefix + "mlp.gate.weight"] = random(shape["ffn"], hidden)
    tensors[prefix + "mlp.proj.weight"] = random(hidden, shape["ffn"])
save_file(tensors, directory / "rank0.safetensors")

config = {
    "pretrained_config": {
        "architecture": "LlamaForCausalLM",
        "dtype": "bfloat16",
        "hidden_size": hidden,
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "head_size": shape["head"],
        "intermediate_size": shape["ffn"],
        "vocab_size": shape["vocab"],
        "max_position_embeddings": 131072,
        "hidden_act": "silu",
        "norm_epsilon": 1e-5,
        "position_embedding_type": "rope_gpt_neox",
        "rotary_base": 500000.0,
    },
    "build_config": {"max_batch_size": 256, "max_num_tokens": 8192, "max_seq_len": 16384, "max_input_len": 16383},
}
(directory / "config.json").write_text(json.dumps(config, indent=2))
