#!/usr/bin/env python3
"""Makes test/goldens/logits-processors: what Hugging Face's logits processors do, alone, together and in generate().

Needed only to make them anew, never to test; what it needs is said in make-goldens.py.

The directory is an engine, a random Llama of some 40,000 weights written by our converter, and two lists of cases in
processors.golden.json. What a case asks of the sampling stands there under the names of native/executor/request.h.

    "processed"  the logits of "row" after "history", the last tokens of which are new; null is -infinity
    "generated"  the tokens greedy decoding adds to "prompt", an end token left out, and how it ends
"""

import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy
import torch
import transformers
from transformers.generation import logits_process as hf

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "test" / "goldens" / "logits-processors"
VOCAB_SIZE = 96
NEW_TOKENS = 32
# Two correct programs differ by 2e-5 in a logit: a choice that was closer than this would prove nothing.
LEAST_MARGIN = 2e-4


class CountPenalties(transformers.LogitsProcessor):
    """OpenAI's presence and frequency penalties, which transformers lacks, as its documentation has them:
    mu[j] -> mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence."""

    def __init__(self, presence, frequency, ignored):
        self.presence, self.frequency, self.ignored = presence, frequency, ignored

    def __call__(self, input_ids, scores):
        scores = scores.double()
        for row, ids in enumerate(input_ids.tolist()):
            for token, count in Counter(ids[self.ignored :]).items():
                scores[row, token] -= count * self.frequency + float(count > 0) * self.presence
        return scores.float()


def count_penalties(asked, prompt_length):
    ignored = min(asked.get("prompt_ignore_length", 0), prompt_length)
    return CountPenalties(asked.get("presence_penalty", 0), asked.get("frequency_penalty", 0), ignored)


def processors_of(asked, prompt_length):
    """In the order in which generate() has them."""
    processors = []
    if "bias_tokens" in asked:
        bias = {(token,): value for token, value in zip(asked["bias_tokens"], asked["bias_values"])}
        processors.append(hf.SequenceBiasLogitsProcessor(bias))
    if "repetition_penalty" in asked:
        processors.append(hf.RepetitionPenaltyLogitsProcessor(asked["repetition_penalty"]))
    processors.append(count_penalties(asked, prompt_length))
    if asked.get("no_repeat_ngram"):
        processors.append(hf.NoRepeatNGramLogitsProcessor(asked["no_repeat_ngram"]))
    if "bad_words" in asked:
        processors.append(hf.NoBadWordsLogitsProcessor(asked["bad_words"], asked.get("end_ids")))
    if "min_tokens" in asked:
        processors.append(
            hf.MinNewTokensLengthLogitsProcessor(prompt_length, asked["min_tokens"], asked["end_ids"])
        )
    return transformers.LogitsProcessorList(processors)


def make_processed(random):
    rows = (random.standard_normal((4, VOCAB_SIZE)) * 4).astype("float32")
    rows[3, ::5] = 0
    # Few different tokens, so that runs of them come again.
    histories = [random.integers(0, high, length).tolist() for high, length in [(4, 24), (12, 60), (64, 200), (64, 1)]]
    last = [history[-1] for history in histories]
    bias = {"bias_tokens": [0, 5, 63, 17], "bias_values": [2.5, -100.0, 0.125, 7.0]}
    bad_words = {
        "bad_words": [[9], [9, 10], *[[token, 20 + i] for i, token in enumerate(last)], [*histories[1][-5:], 40], [3]],
        "end_ids": [3, 8],
    }
    everything = {
        **bias,
        **bad_words,
        "repetition_penalty": 1.25,
        "presence_penalty": 0.75,
        "frequency_penalty": 0.3,
        "prompt_ignore_length": 7,
        "no_repeat_ngram": 3,
        "min_tokens": 9,
    }
    alone = [
        bias,
        {"repetition_penalty": 1.3},
        {"repetition_penalty": 0.6},
        {"presence_penalty": 0.7},
        {"frequency_penalty": 0.4},
        {"presence_penalty": -1.5, "frequency_penalty": 0.45, "prompt_ignore_length": 10},
        {"frequency_penalty": 2, "prompt_ignore_length": 1000},
        *[{"no_repeat_ngram": n} for n in (1, 2, 3, 5, 24, 25)],
        bad_words,
        {"bad_words": [[3]]},
        {"min_tokens": 8, "end_ids": [3, 8]},
        {"min_tokens": 9, "end_ids": [3, 8]},
        everything,
    ]
    cases = []
    for i, asked in enumerate(alone * 4):
        history = histories[i * 4 // len(alone * 4)]
        row = i % len(rows)
        new_tokens = min(8, len(history) - 1)
        processors = processors_of(asked, len(history) - new_tokens)
        processed = processors(torch.tensor([history]), torch.from_numpy(rows[row : row + 1].copy()))[0]
        values = [None if value == -numpy.inf else shortest(value) for value in processed.numpy()]
        cases.append(
            {"asked": asked, "row": row, "history": history, "new_tokens": new_tokens, "logits": values}
        )
    return [[shortest(value) for value in row] for row in rows], cases


def make_model(directory):
    torch.manual_seed(27)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=48,
            intermediate_size=80,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=256,
            initializer_range=0.3,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).half()
    model.save_pretrained(directory)
    # Read back, because half() rounds the angles of RoPE too.
    return transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


@torch.inference_mode()
def generate(model, prompt, asked):
    """The case, and the tokens with an end token."""
    custom = transformers.LogitsProcessorList()
    if "presence_penalty" in asked or "frequency_penalty" in asked:
        custom.append(count_penalties(asked, len(prompt)))
    bias = {(token,): value for token, value in zip(asked.get("bias_tokens", []), asked.get("bias_values", []))}
    tokens = torch.tensor([prompt])
    result = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_scores=True,
        return_dict_in_generate=True,
        pad_token_id=0,
        sequence_bias=bias or None,
        repetition_penalty=asked.get("repetition_penalty"),
        no_repeat_ngram_size=asked.get("no_repeat_ngram"),
        bad_words_ids=asked.get("bad_words"),
        min_new_tokens=asked.get("min_tokens"),
        eos_token_id=asked.get("end_ids"),
        logits_processor=custom,
    )
    for step, scores in enumerate(result.scores):
        highest = scores[0].topk(2).values
        assert highest[0] - highest[1] > LEAST_MARGIN, f"step {step} of {asked} is too close; take another seed"
    drawn = result.sequences[0, len(prompt) :].tolist()
    ended = drawn[-1] in asked.get("end_ids", [])
    finish = "end_id" if ended else "length"
    return {"asked": asked, "prompt": prompt, "tokens": drawn[:-1] if ended else drawn, "finish": finish}


def make_generated(model, random):
    cases = []
    for prompt in [random.integers(0, VOCAB_SIZE, length).tolist() for length in (5, 40)]:
        plain = generate(model, prompt, {})
        tokens = plain["tokens"]
        end_ids = [tokens[9], min(set(range(VOCAB_SIZE)) - set(tokens))]
        bias = {"bias_tokens": [tokens[0], tokens[3], 1, 2], "bias_values": [-4.0, -100.0, 3.5, 2.0]}
        all_of_them = {
            **bias,
            "repetition_penalty": 1.1,
            "frequency_penalty": 0.3,
            "prompt_ignore_length": 2,
            "no_repeat_ngram": 3,
            "bad_words": [[tokens[1]], [tokens[2], tokens[3]], [51, 1], [92, 82], tokens[4:8]],
            "min_tokens": 15,
            "end_ids": end_ids,
        }
        asked = [
            bias,
            {"repetition_penalty": 1.3},
            {"repetition_penalty": 0.2},  # repeats itself, for the next two
            {"repetition_penalty": 0.2, "no_repeat_ngram": 2},
            {"repetition_penalty": 0.2, "no_repeat_ngram": 3},
            {"presence_penalty": 2.5, "prompt_ignore_length": len(prompt)},
            {"frequency_penalty": 0.6},
            {"presence_penalty": 0.5, "frequency_penalty": 1.1, "prompt_ignore_length": 3},
            {"no_repeat_ngram": 1},
            {"bad_words": [[tokens[6]]]},
            {"bad_words": [tokens[4:8]]},
            {"bad_words": [[prompt[-1], tokens[0]]]},
            {"min_tokens": 10, "end_ids": end_ids},
            {"repetition_penalty": 1.2, "no_repeat_ngram": 2, "presence_penalty": 0.8, "frequency_penalty": 0.2},
            all_of_them,
        ]
        changed = [generate(model, prompt, one) for one in asked]
        assert len({tuple(case["tokens"]) for case in [plain, *changed]}) == len(asked) + 1, "a case changes nothing"
        unchanged = [
            {"end_ids": end_ids},
            {"min_tokens": 9, "end_ids": end_ids},
            {"bad_words": [[tokens[9]]], "end_ids": end_ids},  # an end token is no bad word
        ]
        ended = [generate(model, prompt, one) for one in unchanged]
        assert all(case["tokens"] == tokens[:9] and case["finish"] == "end_id" for case in ended)
        cases += [plain, *changed, *ended]
    return cases


def shortest(value):
    """The shortest decimal that reads as the same float32."""
    return float(str(numpy.float32(value)))


def main():
    random = numpy.random.default_rng(4)
    with tempfile.TemporaryDirectory() as source:
        model = make_model(source)
        program = f"""
            import {{ convert }} from './dist/engine/convert/convert.js';
            await convert('{source}', '{GOLDENS}', {{ dtype: 'float32', sourceName: 'a random Llama' }});
        """
        subprocess.run(["node", "--input-type=module", "--eval", program], cwd=ROOT, check=True)
    rows, processed = make_processed(random)
    golden = {
        "madeWith": [f"transformers {transformers.__version__}, torch {torch.__version__}, float32"],
        "rows": rows,
        "processed": processed,
        "generated": make_generated(model, random),
    }
    lists = [f'"{key}": [\n' + ",\n".join(map(json.dumps, values)) + "\n]" for key, values in golden.items()]
    (GOLDENS / "processors.golden.json").write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
