"""Random Llamas with their logits by transformers on this GPU, for scripts/gpu-check.mjs: python3 scripts/gpu_reference.py DIR.

Each DIR/NAME/ is a Hugging Face model, and DIR/NAME.json says what transformers computes: the prompt, the greedy continuation in fp32,
the logits of the prompt's tokens in fp32 (float32, [tokens, vocabulary], in NAME.fp32.bin) and how far those in the model's own type
are from them: the greatest over tokens of |difference| / |logits in fp32|.
"""
import json
import pathlib
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

MODELS = {
    "bf16-gqa4-d128": dict(dtype="bfloat16", hidden=1024, layers=6, heads=8, kv_heads=2, head=128, ffn=2816, vocab=4096),
    "fp16-gqa3-d64": dict(dtype="float16", hidden=576, layers=8, heads=9, kv_heads=3, head=64, ffn=1536, vocab=4096),
    "bf16-mha-d80": dict(dtype="bfloat16", hidden=640, layers=4, heads=8, kv_heads=8, head=80, ffn=1724, vocab=2048),
}
PROMPT_TOKENS, NEW_TOKENS = 777, 32

directory = pathlib.Path(sys.argv[1])
directory.mkdir(parents=True, exist_ok=True)
torch.backends.cuda.matmul.allow_tf32 = False


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens], device="cuda")).logits[0].float()


for name, shape in MODELS.items():
    torch.manual_seed(1)
    config = LlamaConfig(
        hidden_size=shape["hidden"], num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"], head_dim=shape["head"], intermediate_size=shape["ffn"],
        vocab_size=shape["vocab"], max_position_embeddings=4096, tie_word_embeddings=False, initializer_range=0.05,
        bos_token_id=1, eos_token_id=2,
    )
    LlamaForCausalLM(config).to(getattr(torch, shape["dtype"])).save_pretrained(directory / name)
    own = LlamaForCausalLM.from_pretrained(directory / name, dtype=getattr(torch, shape["dtype"])).cuda().eval()
    exact = LlamaForCausalLM.from_pretrained(directory / name, dtype=torch.float32).cuda().eval()
    prompt = torch.randint(3, shape["vocab"], (PROMPT_TOKENS,)).tolist()
    reference = logits_of(exact, prompt)
    error = ((logits_of(own, prompt) - reference).norm(dim=1) / reference.norm(dim=1)).max().item()
    greedy = []
    while len(greedy) < NEW_TOKENS:
        greedy.append(int(logits_of(exact, prompt + greedy)[-1].argmax()))
    reference.cpu().numpy().tofile(directory / f"{name}.fp32.bin")
    (directory / f"{name}.json").write_text(json.dumps({"prompt": prompt, "greedy": greedy, "error": error}))
