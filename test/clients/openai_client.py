"""What openai-client.mjs does, with OpenAI's package for Python: the two print the same JSON."""

import json
import sys

import openai

url, key = sys.argv[1:]
client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
chat = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 24, "temperature": 1, "seed": 7}
tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def answer(completion):
    choice = completion.choices[0]
    return {"text": choice.message.content, "finish": choice.finish_reason, "usage": usage(completion.usage)}


def usage(of):
    return [of.prompt_tokens, of.completion_tokens, of.total_tokens]


def stream():
    text, finish, total = "", None, None
    for chunk in client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        total = chunk.usage or total
    return {"text": text, "finish": finish, "usage": usage(total)}


def logprobs():
    completion = client.chat.completions.create(**chat, logprobs=True, top_logprobs=2)
    return [
        [each.token, each.logprob, [[top.token, top.logprob] for top in each.top_logprobs]]
        for each in completion.choices[0].logprobs.content
    ]


def leave():
    endless = {**chat, "max_tokens": 8000, "extra_body": {"ignore_eos": True}}
    with client.chat.completions.create(**endless, stream=True) as events:
        return next(iter(events)).choices[0].delta.role


def failure(fields, by=client):
    try:
        by.chat.completions.create(**{**chat, **fields})
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param]


print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "chat": answer(client.chat.completions.create(**chat)),
            "stream": stream(),
            "completion": client.completions.create(model="tiny", prompt="Once", max_tokens=8, temperature=0).choices[0].text,
            "logprobs": logprobs(),
            "embedding": client.embeddings.create(model="tiny", input=["Once", "hi"]).data[1].embedding,
            "tools": answer(client.chat.completions.create(**chat, tools=tools)),
            "leave": leave(),
            "errors": [
                failure({"temperature": -1}),
                failure({"model": "gpt-4"}),
                failure({"messages": [{"role": "user", "content": "hi" * 9000}]}),
                failure({}, by=client.with_options(api_key="wrong")),
            ],
        }
    )
)
