"""What transformers computes on this GPU, for scripts/gpu-logits.mjs: python3 scripts/gpu_reference.py DIR [--engine ENGINE].

Makes random Llamas, and takes the weights of ENGINE, an engine directory, where one is named. DIR/NAME/ is a random Hugging Face model;
DIR/NAME.json says what transformers computes: the prompt, the greedy continuation in fp32, and how far the logits in the model's own
type are from those in fp32: `error`, the greatest over tokens of |difference| / |logits in fp32|, and `largest`, the greatest difference
of one logit. The logits in fp32 are float32, [tokens, vocabulary]: those of the prompt's tokens in NAME.fp32.bin, those that each greedy
token was taken from in NAME.greedy.bin.
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

MODELS = {
    "bf16-gqa4-d128": dict(dtype="bfloat16", hidden=1024, layers=6, heads=8, kv_heads=2, head=128, ffn=2816, vocab=4096),
    "fp16-gqa3-d64": dict(dtype="float16", hidden=576, layers=8, heads=9, kv_heads=3, head=64, ffn=1536, vocab=4096),
    "bf16-mha-d80": dict(dtype="bfloat16", hidden=640, layers=4, heads=8, kv_heads=8, head=80, ffn=1724, vocab=2048),
}
PROMPT_TOKENS, NEW_TOKENS = 777, 32

parser = argparse.ArgumentParser()
parser.add_argument("dir", type=pathlib.Path)
parser.add_argument("--engine", type=pathlib.Path)
arguments = parser.parse_args()
arguments.dir.mkdir(parents=True, exist_ok=True)
torch.backends.cuda.matmul.allow_tf32 = False


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens], device="cuda")).logits[0].float()


def write_reference(name, own, exact, vocab, further):
    prompt = torch.randint(3, vocab, (PROMPT_TOKENS,), generator=torch.Generator().manual_seed(1)).tolist()
    reference = logits_of(exact, prompt)
    difference = logits_of(own, prompt) - reference
    greedy, rows = [], []
    while len(greedy) < NEW_TOKENS:
        rows.append(logits_of(exact, prompt + greedy)[-1])
        greedy.append(int(rows[-1].argmax()))
    reference.cpu().numpy().tofile(arguments.dir / f"{name}.fp32.bin")
    torch.stack(rows).cpu().numpy().tofile(arguments.dir / f"{name}.greedy.bin")
    error = (difference.norm(dim=1) / reference.norm(dim=1)).max().item()
    what = dict(prompt=prompt, greedy=greedy, error=error, largest=difference.abs().max().item(), **further)
    (arguments.dir / f"{name}.json").write_text(json.dumps(what))


def weights_of_engine(directory, model):
    """The unified checkpoint's tensors under transformers' names."""
    tensors = load_file(directory / "rank0.safetensors")
    rows = [model["num_attention_heads"] * model["head_size"]] + 2 * [model["num_key_value_heads"] * model["head_size"]]
    names = {
        "input_layernorm": "input_layernorm",
        "post_layernorm": "post_attention_layernorm",
        "attention.dense": "self_attn.o_proj",
        "mlp.fc": "mlp.gate_proj",
        "mlp.gate": "mlp.up_proj",
        "mlp.proj": "mlp.down_proj",
    }
    weights = {
        "model.embed_tokens.weight": tensors["transformer.vocab_embedding.weight"],
        "model.norm.weight": tensors["transformer.ln_f.weight"],
        "lm_head.weight": tensors.get("lm_head.weight", tensors["transformer.vocab_embedding.weight"]),
    }
    for layer in range(model["num_hidden_layers"]):
        ours, theirs = f"transformer.layers.{layer}.", f"model.layers.{layer}."
        parts = tensors[f"{ours}attention.qkv.weight"].split(rows)
        for part, name in zip(parts, "qkv", strict=True):
            weights[f"{theirs}self_attn.{name}_proj.weight"] = part
        for our_name, their_name in names.items():
            weights[f"{theirs}{their_name}.weight"] = tensors[f"{ours}{our_name}.weight"]
    return weights


for name, shape in MODELS.items():
    torch.manual_seed(1)
    config = LlamaConfig(
        hidden_size=shape["hidden"], num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"], head_dim=shape["head"], intermediate_size=shape["ffn"],
        vocab_size=shape["vocab"], max_position_embeddings=4096, tie_word_embeddings=False, initializer_range=0.05,
        bos_token_id=1, eos_token_id=2,
    )
    source = arguments.dir / name
    LlamaForCausalLM(config).to(getattr(torch, shape["dtype"])).save_pretrained(source)
    own = LlamaForCausalLM.from_pretrained(source, dtype=getattr(torch, shape["dtype"])).cuda().eval()
    exact = LlamaForCausalLM.from_pretrained(source, dtype=torch.float32).cuda().eval()
    write_reference(name, own, exact, shape["vocab"], {})

if arguments.engine is not None:
    model = json.loads((arguments.engine / "config.json").read_text())["pretrained_config"]
    if model.get("rotary_scaling") is not None:
        raise SystemExit(f"{arguments.engine} scales its rotary embedding, which this script does not carry over")
    config = LlamaConfig(
        hidden_size=model["hidden_size"], num_hidden_layers=model["num_hidden_layers"],
        num_attention_heads=model["num_attention_heads"], num_key_value_heads=model["num_key_value_heads"],
        head_dim=model["head_size"], intermediate_size=model["intermediate_size"], vocab_size=model["vocab_size"],
        max_position_embeddings=model["max_position_embeddings"], tie_word_embeddings=False,
        rms_norm_eps=model["norm_epsilon"], rope_theta=model["rotary_base"],
        rope_parameters=dict(rope_type="default", rope_theta=model["rotary_base"]),
    )
    weights = weights_of_engine(arguments.engine, model)
    both = []
    for dtype in [getattr(torch, model["dtype"]), torch.float32]:
        llama = LlamaForCausalLM(config)
        llama.load_state_dict(weights)
        both.append(llama.to(dtype).cuda().eval())
    write_reference("engine", *both, model["vocab_size"], dict(engine=str(arguments.engine.resolve())))
