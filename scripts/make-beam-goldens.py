#!/usr/bin/env python3
"""Makes test/goldens/logits-processors/beams.golden.json: what beam search of Hugging Face's generate() finds.

Needed only to make it anew, never to test; what it needs is said in make-goldens.py. The model "llama" is the engine beside
the file, made by make-logits-processor-goldens.py. The model "table" is the table of logits in the file: those after token t
at position p are row (t + 7 p). What a case asks of the sampling stands there under the names of native/executor/request.h.

    "outputs"  the best first: their tokens, an end token left out, the end token or null, and their score
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
processors = importlib.import_module("make-logits-processor-goldens")

TABLE_TOKENS = 24
# A choice that turns on less than this is left out: two correct programs differ by 2e-5 in a logit.
NOISE = 2e-4
EARLY_STOPPING = {0: False, 1: True, 2: "never"}


class Table(transformers.PreTrainedModel, transformers.GenerationMixin):
    config_class = transformers.LlamaConfig
    _is_stateful = True

    def __init__(self, config, table):
        super().__init__(config)
        self.table = torch.nn.Parameter(table)

    def forward(self, input_ids, **_):
        rows = (input_ids + 7 * torch.arange(input_ids.shape[1])) % len(self.table)
        return transformers.modeling_outputs.CausalLMOutputWithPast(logits=self.table[rows])


class Noise(transformers.LogitsProcessor):
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids, scores):
        return scores + NOISE * torch.rand(scores.shape, generator=self.generator)


class StopsAfter(transformers.StoppingCriteria):
    def __init__(self, runs, prompt_length):
        self.runs, self.prompt_length = runs, prompt_length

    def __call__(self, input_ids, scores, **_):
        new = [row[self.prompt_length :] for row in input_ids.tolist()]
        return torch.tensor([any(row[-len(run) :] == run for run in self.runs) for row in new])


@torch.inference_mode()
def search(model, prompt, asked, noise=None):
    tokens = torch.tensor([prompt])
    length = len(prompt)
    result = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=asked["max_tokens"],
        do_sample=False,
        num_beams=asked["beam_width"],
        num_return_sequences=asked["beam_width"],
        length_penalty=asked["length_penalty"],
        early_stopping=EARLY_STOPPING[asked["early_stopping"]],
        repetition_penalty=asked.get("repetition_penalty"),
        no_repeat_ngram_size=asked.get("no_repeat_ngram"),
        bad_words_ids=asked.get("bad_words"),
        min_new_tokens=asked.get("min_tokens"),
        eos_token_id=asked.get("end_ids"),
        pad_token_id=0,
        logits_processor=transformers.LogitsProcessorList([] if noise is None else [Noise(noise)]),
        stopping_criteria=transformers.StoppingCriteriaList(
            [StopsAfter(asked["stop_tokens"], length)] if "stop_tokens" in asked else []
        ),
        output_scores=True,
        output_logits=True,
        return_dict_in_generate=True,
        use_cache=not isinstance(model, Table),
    )
    outputs = []
    for row, beams, score in zip(result.sequences.tolist(), result.beam_indices, result.sequences_scores.tolist()):
        new = row[length : length + int((beams >= 0).sum())]
        end_id = new[-1] if new[-1] in asked.get("end_ids", []) else None
        outputs.append({"tokens": new if end_id is None else new[:-1], "end_id": end_id, "score": round(score, 5)})
    return outputs


def case_of(name, model, prompt, asked):
    """None if another rounding could give other outputs."""
    outputs = search(model, prompt, asked)
    again = search(model, prompt, asked, noise=1)
    if [output["tokens"] for output in again] != [output["tokens"] for output in outputs]:
        return None
    return {"model": name, "asked": asked, "prompt": prompt, "outputs": outputs}


def make_cases(name, model, prompts, vocab_size):
    cases, left_out = [], 0
    for width in (2, 4, 8):
        for prompt in prompts:
            plain = {"beam_width": width, "max_tokens": 16, "length_penalty": 0.0, "early_stopping": 1}
            found = search(model, prompt, plain)
            # Tokens that beams reach at different times, and one that none does.
            end_id, other = found[0]["tokens"][5], found[-1]["tokens"][8]
            unused = min(set(range(vocab_size)) - {token for output in found for token in output["tokens"]})
            asked = [plain]
            for early_stopping in EARLY_STOPPING:
                for penalty, end_ids in [(0.0, [end_id]), (0.6, [end_id, unused, other]), (2.0, [end_id, other])]:
                    ends = {"length_penalty": penalty, "early_stopping": early_stopping, "end_ids": end_ids}
                    asked.append({**plain, **ends})
            ends = {**plain, "end_ids": [end_id], "length_penalty": 1.0, "early_stopping": 0}
            asked += [
                {**ends, "min_tokens": 8},
                {**plain, "stop_tokens": [[found[0]["tokens"][3]], found[1]["tokens"][4:6]], "early_stopping": 2},
                {**ends, "max_tokens": 1},
                {**ends, "max_tokens": 40},
            ]
            if name == "llama":
                asked += [
                    {**ends, "repetition_penalty": 1.3},
                    {**ends, "no_repeat_ngram": 2},
                    {**ends, "bad_words": [[found[0]["tokens"][1]], found[0]["tokens"][2:4]]},
                ]
            made = [case_of(name, model, prompt, one) for one in asked]
            left_out += made.count(None)
            cases += [case for case in made if case is not None]
    print(f"{name}: {len(cases)} cases, {left_out} were too close")
    return cases


def make_table(random):
    table = (random.standard_normal((TABLE_TOKENS, TABLE_TOKENS)) * 1.5).astype("float32").round(3)
    config = transformers.LlamaConfig(vocab_size=TABLE_TOKENS, bos_token_id=None, eos_token_id=None)
    return Table(config, torch.from_numpy(table)).eval(), table.astype("float64").round(3).tolist()


def check_llama(model):
    """It is the model of the engine: greedy decoding says what it said when that was made."""
    golden = json.loads((processors.GOLDENS / "processors.golden.json").read_text())
    plain = next(case for case in golden["generated"] if case["asked"] == {})
    assert processors.generate(model, plain["prompt"], {})["tokens"] == plain["tokens"], "make the engine anew first"


def main():
    random = numpy.random.default_rng(9)
    with tempfile.TemporaryDirectory() as source:
        llama = processors.make_model(source)
    check_llama(llama)
    model, table = make_table(random)
    prompts = [random.integers(0, processors.VOCAB_SIZE, length).tolist() for length in (3, 40)]
    cases = make_cases("llama", llama, prompts, processors.VOCAB_SIZE)
    cases += make_cases("table", model, [[1], [2, 17]], TABLE_TOKENS)
    golden = {
        "madeWith": [f"transformers {transformers.__version__}, torch {torch.__version__}, float32"],
        "table": table,
        "cases": cases,
    }
    lists = [f'"{key}": [\n' + ",\n".join(map(json.dumps, values)) + "\n]" for key, values in golden.items()]
    (processors.GOLDENS / "beams.golden.json").write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
